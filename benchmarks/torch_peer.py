"""The peer on torch: Spark's TorchDistributor starts DistributedDataParallel on Gloo, a process of one thread a rank.

`spark-submit benchmarks/torch_peer.py WORK`, in the environment that benchmarks/torch_environment.py makes. Batches come from
`benchmarks.shards` without a DataLoader: its worker would be one more process on cores that are all taken.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

from benchmarks.shards import Work, stop


def main() -> None:
    """Train in a Spark application."""
    work = Work.read(sys.argv[1])
    spark = SparkSession.builder.appName("torch peer").getOrCreate()
    called = time.monotonic()
    distributor = TorchDistributor(num_processes=work.ranks, local_mode=False, use_gpu=False)
    result: Any = distributor.run(train, tuple(work))  # rank 0's
    epochs, first_step = result
    work.write_result(epochs, called=called, first_step=first_step)
    stop(spark)


def train(work_as_tuple: tuple[str, ...]) -> tuple[list[dict[str, float]], float]:
    """One rank: rows, seconds and mean loss of each epoch, and when the first step had ended. Runs in a process of its own."""
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from benchmarks.shards import Shard, Work

    work = Work(*work_as_tuple)  # type: ignore[arg-type]
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.manual_seed(1)
    shard = Shard(work.train, rank, work.ranks, work.batch)
    layers = [torch.nn.Linear(shard.numbers, 256), torch.nn.ReLU(), torch.nn.Linear(256, 128), torch.nn.ReLU()]
    network = DistributedDataParallel(torch.nn.Sequential(*layers, torch.nn.Linear(128, 1)))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loss_of = torch.nn.BCEWithLogitsLoss()
    epochs, first_step = [], 0.0
    for epoch in range(work.epochs):
        started, total = time.monotonic(), torch.zeros(())
        for numbers, labels in shard.epoch(epoch):
            optimizer.zero_grad()
            loss = loss_of(network(torch.from_numpy(numbers)).squeeze(1), torch.from_numpy(labels))
            loss.backward()
            optimizer.step()
            total += loss.detach()
            first_step = first_step or time.monotonic()
        mean = float(total) / shard.steps
        seconds = time.monotonic() - started
        epochs.append({"rows": shard.steps * work.batch * work.ranks, "seconds": seconds, "loss": mean})
    dist.destroy_process_group()
    return epochs, first_step


if __name__ == "__main__":
    main()
