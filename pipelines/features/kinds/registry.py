"""The kinds of feature that a spec may declare: a new kind is an import and a line here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, TypeAlias, Union, get_args

from pydantic import Field

from pipelines.features.kinds.base import Fitted, Kind
from pipelines.features.kinds.boolean import Boolean
from pipelines.features.kinds.bucketized import Bucketized
from pipelines.features.kinds.categorical import Categorical
from pipelines.features.kinds.crossed import Crossed
from pipelines.features.kinds.cyclic import Cyclic
from pipelines.features.kinds.hashed import Hashed
from pipelines.features.kinds.image import Image
from pipelines.features.kinds.numeric import Numeric
from pipelines.features.kinds.ordinal import Ordinal
from pipelines.features.kinds.sequence import Sequence
from pipelines.features.kinds.target import Target
from pipelines.features.kinds.text import Text
from pipelines.features.kinds.time import Time
from pipelines.model import Model


class Declared(Model):
    """The features of a spec by kind and name: numbers, then what becomes ids, then arrays."""

    numeric: dict[str, Numeric] = {}
    """Numbers, scaled, by name."""
    boolean: dict[str, Boolean] = {}
    """Columns of true and false, by name."""
    ordinal: dict[str, Ordinal] = {}
    """Words that have an order, by name."""
    cyclic: dict[str, Cyclic] = {}
    """Numbers that come round again, such as angles, by name."""
    time: dict[str, Time] = {}
    """Timestamps, by name."""
    target: dict[str, Target] = {}
    """Words that become their mean label, by name."""
    bucketized: dict[str, Bucketized] = {}
    """Numbers that become the id of a bucket, by name."""
    categorical: dict[str, Categorical] = {}
    """Words that become ids by frequency, by name."""
    crossed: dict[str, Crossed] = {}
    """Words of several columns that become one id, by name."""
    hashed: dict[str, Hashed] = {}
    """Words that become ids by a hash, by name."""
    sequence: dict[str, Sequence] = {}
    """Last values of a series, by name."""
    image: dict[str, Image] = {}
    """PNG images, by name."""
    text: dict[str, Text] = {}
    """Texts, by name."""

    @property
    def declared(self) -> Iterator[tuple[str, str, Kind]]:
        """Each feature's kind, name and settings, in the order of the kinds here."""
        for kind in KINDS:
            for name, feature in getattr(self, kind).items():
                yield kind, name, feature


KINDS: dict[str, type[Kind]] = {name: get_args(field.annotation)[1] for name, field in Declared.model_fields.items()}
"""The keys of a spec under which features are declared, each with the kind that it is for."""

if TYPE_CHECKING:
    FittedFeature: TypeAlias = Fitted
else:
    FittedFeature = Annotated[
        Union[tuple(dict.fromkeys(kind.fitted for kind in KINDS.values()))], Field(discriminator="kind")  # noqa: UP007
    ]
"""Any fitted feature; one that is read from JSON is told by its field `kind`."""
