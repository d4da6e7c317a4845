"""A message of every rank, brought together as JSON by Horovod's own all-gather."""

from __future__ import annotations

from typing import TypeVar

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf

from pipelines.model import Model

T = TypeVar("T", bound=Model)


def gathered(own: T) -> list[T]:
    """Each rank's own, in order of ranks; all ranks have to call this together."""
    content = np.frombuffer(own.model_dump_json().encode(), np.uint8)
    sizes = hvd.allgather(tf.constant([len(content)], tf.int32), name="sizes").numpy()
    content = hvd.allgather(tf.constant(content), name="contents").numpy()
    return [type(own).model_validate_json(part.tobytes()) for part in np.split(content, np.cumsum(sizes)[:-1])]
