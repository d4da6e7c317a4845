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
    boolean: dict[str, Boolean] = {}
    ordinal: dict[str, Ordinal] = {}
    cyclic: dict[str, Cyclic] = {}
    time: dict[str, Time] = {}
    target: dict[str, Target] = {}
    bucketized: dict[str, Bucketized] = {}
    categorical: dict[str, Categorical] = {}
    crossed: dict[str, Crossed] = {}
    hashed: dict[str, Hashed] = {}
    sequence: dict[str, Sequence] = {}
    image: dict[str, Image] = {}
    text: dict[str, Text] = {}

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
