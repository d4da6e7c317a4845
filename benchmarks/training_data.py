"""What training is measured on: networks, the features below them, and rows of these as the features table holds them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.config import Binary, Network, Optimizer, TrainConfig
from pipelines.features.fitted import FittedChannel, FittedFeature, FittedImage, FittedNumeric, FittedSpec
from pipelines.training.job import TrainingJob
from pipelines.training.plan import RowPlan, read_groups
from schemas.tables import FEATURE_FILES

GROUP_BYTES = int(FEATURE_FILES["write.parquet.row-group-size-bytes"])
PAGE_ROWS = int(FEATURE_FILES["write.parquet.page-row-limit"])
NUMBERS, CHANNELS, STEPS, SIDE = 32, 4, 24, 8
VALIDATION_ROWS, FEWEST_ROWS = 2048, 16_384
SEED = 7

_PLAIN = {"fill": 0.0, "clip": None, "log1p": False, "offset": 0.0, "scale": 1.0}


def _numbers() -> list[FittedFeature]:
    return [FittedNumeric.model_validate({"name": f"n{at}", **_PLAIN}) for at in range(NUMBERS)]


def _channels() -> list[FittedFeature]:
    common = {"sequence": "series", "length": STEPS, **_PLAIN}
    return [FittedChannel.model_validate({"name": f"c{at}", "of": f"c{at}", **common}) for at in range(CHANNELS)]


def _image() -> list[FittedFeature]:
    return [FittedImage(name="image", height=SIDE, width=SIDE, channels=1, divide_by=1)]


@dataclass(frozen=True)
class Workload:
    """A network, the features that it takes, and how many times fewer rows than the first one it is measured on.

    At Adam's usual rate the first steps of a wide network are wild.
    """

    network: Network
    features: tuple[FittedFeature, ...]
    fewer: int = 1
    learning_rate: float = 1e-3

    @property
    def spec(self) -> FittedSpec:
        """The fitted features, which say what columns the network reads."""
        return FittedSpec(features=self.features)

    @property
    def lengths(self) -> dict[str, int]:
        """Values a row in each column."""
        sizes = {"channel": STEPS, "image": SIDE * SIDE}
        return {feature.name: sizes.get(feature.kind, 1) for feature in self.features}


WORKLOADS = {
    "mlp": Workload(Network(), tuple(_numbers())),
    "mlp of 10 million": Workload(Network(hidden=(3150, 3150)), tuple(_numbers()), 32, 1e-4),
    "gru": Workload(Network(), tuple(_channels()), 8),
    "cnn": Workload(Network(), tuple(_image()), 8),
}


def write_rows(folder: Path, name: str, rows: int) -> tuple[Path, Path]:
    """Rows of a workload, and a few more for validation, as Parquet; both are written once."""
    workload = WORKLOADS[name]
    paths = folder / f"{name}.parquet", folder / f"{name}-validation.parquet"
    if not paths[0].exists():
        generator = np.random.default_rng(SEED)
        _write(paths[0], workload, max(rows // workload.fewer, FEWEST_ROWS), generator)
        _write(paths[1], workload, VALIDATION_ROWS, generator)
    return paths


def _write(path: Path, workload: Workload, rows: int, generator: np.random.Generator) -> None:
    """Normal numbers, and a label that tells how the last values of each column add up, but for some noise."""
    lengths = workload.lengths
    group = min(GROUP_BYTES // (4 * sum(lengths.values()) + 12), rows)
    kinds = [pa.field(name, pa.float32() if length == 1 else pa.list_(pa.float32())) for name, length in lengths.items()]
    schema = pa.schema([("row_id", pa.int64()), ("label", pa.float32()), *kinds])
    options = {"compression": "lz4", "use_dictionary": False, "max_rows_per_page": PAGE_ROWS}
    with pq.ParquetWriter(path, schema, **options) as writer:
        for start in range(0, rows, group):
            count = min(group, rows - start)
            parts = {name: generator.normal(size=(count, length)).astype(np.float32) for name, length in lengths.items()}
            last = np.stack([part[:, -8:].mean(axis=1) for part in parts.values()], axis=1)
            noisy = last.mean(axis=1) + generator.normal(scale=0.3 * last.mean(axis=1).std(), size=count)
            columns = [pa.array(np.arange(start, start + count)), pa.array((noisy > 0).astype(np.float32))]
            writer.write_table(pa.table([*columns, *(_column(part) for part in parts.values())], schema), row_group_size=group)


def _column(part: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> pa.Array:
    length = part.shape[1]
    if length == 1:
        return pa.array(part[:, 0])
    return pa.ListArray.from_arrays(pa.array(np.arange(0, part.size + 1, length, dtype=np.int32)), part.reshape(-1))


def training_job(name: str, files: tuple[Path, Path], ranks: int, batch: int, epochs: int) -> TrainingJob:
    """A training run of a workload on its files, results beside them."""
    workload = WORKLOADS[name]
    settings: dict[str, object] = {"ranks": ranks, "batch_size": batch, "epochs": epochs, "network": workload.network}
    settings["optimizer"] = Optimizer(learning_rate=workload.learning_rate)
    config = TrainConfig.model_validate(settings)
    common = {"ranks": ranks, "batch_size": batch, "seed": SEED, "shuffle_rows": config.shuffle_rows}
    train, validation = (read_groups([str(path)]) for path in files)
    return TrainingJob(
        run_id="benchmark",
        pipeline="benchmark",
        config=config,
        task=Binary(),
        spec=workload.spec,
        train=RowPlan(groups=train, shuffle=True, **common),
        validation=RowPlan(groups=validation, shuffle=False, **common),
        checkpoints=str(files[0].parent / "checkpoints"),
        model=str(files[0].parent / "model"),
    )
