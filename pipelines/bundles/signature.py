"""What a model takes and gives, for those who call it: names, types, units and the values that the contract allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from pipelines.config import Model, Multiclass, Regression, Task
from pipelines.features.fitted import FittedFeature, FittedSpec, Raw
from schemas.contract import Column, Table

Value: TypeAlias = float | str | list[float | None]
MOST_WORDS = 1000


class InputField(Model, allow_inf_nan=True):
    """One raw value that a model takes: a column of the examples' contract, or the last values of one (`length`).

    `type` is the contract's SQL type; `datatype` and `length` are those of the tensor: FP64 with NaN, or BYTES with an empty
    text, where a value is missing; of a timestamp the seconds since 1970. `from_history` says that the batch derivation
    computes it from other rows, `personal` that its values tell of persons. `known` lists words of the training data, where
    others are legal too; `example` is a row's.
    """

    name: str
    type: str
    datatype: Literal["FP64", "BYTES"]
    length: int | None = None
    unit: str | None = None
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    pattern: str | None = None
    comment: str = ""
    from_history: bool = False
    personal: bool = False
    known: tuple[str, ...] = ()
    example: Value | None = None


class PreparedInput(Model):
    """An array that an ONNX graph takes where it begins at prepared values: (rows, *shape), FP32 or INT32.

    `columns` names the columns of the features table that lie side by side in its last dimension.
    """

    name: str
    datatype: Literal["FP32", "INT32"]
    shape: tuple[int, ...]
    columns: tuple[str, ...]


class OutputField(Model):
    """What a model gives: a probability of the second class, one a class, or a number or several in `unit`.

    `outputs` is how many values a row has; none where that is a single number without a dimension of its own. `threshold` is
    the least probability of the second class, where one was chosen. `calibration` is how the folder's calibration.json turns
    the output, on which the threshold counts, into a calibrated probability.
    """

    name: str = "output"
    datatype: Literal["FP32"] = "FP32"
    outputs: int | None = None
    task: Literal["binary", "multiclass", "regression"]
    classes: tuple[str, ...] = ()
    unit: str = ""
    threshold: float | None = None
    calibration: Literal["isotonic", "platt"] | None = None


def output_schema(task: Task, outputs: int | None) -> OutputField:
    """The output of a model of a task, of so many values a row."""
    if isinstance(task, Regression):
        return OutputField(task="regression", outputs=outputs, unit=task.unit)
    return OutputField(task="multiclass" if isinstance(task, Multiclass) else "binary", outputs=outputs, classes=task.classes)


def prepared_inputs(spec: FittedSpec) -> tuple[PreparedInput, ...]:
    """The arrays that a network of a spec takes, in the order in which it takes them."""
    numbers = PreparedInput(name="numbers", datatype="FP32", shape=(len(spec.numbers),), columns=spec.numbers)
    ids = PreparedInput(name="ids", datatype="INT32", shape=(len(spec.ids),), columns=spec.ids)
    tensors = (
        PreparedInput(
            name=each.name, datatype="FP32" if each.dtype == "float32" else "INT32", shape=each.shape, columns=each.columns
        )
        for each in spec.tensors
    )
    return (numbers, ids, *tensors)


def input_schema(
    spec: FittedSpec, contract: Table | None = None, samples: Sequence[Mapping[str, Value | None]] = ()
) -> tuple[InputField, ...]:
    """The raw values of a fitted spec in its order, each as the examples' contract declares it, with a sampled row's values.

    Without a contract, as for a model that no pipeline trained, types alone are known.
    """
    columns = {column.name: column for column in contract.columns} if contract else {}
    example = min(samples, key=lambda row: sum(value is None for value in row.values()), default={})
    return tuple(_field(name, raw, spec, columns, example.get(name)) for name, raw in spec.inputs.items())


def _field(name: str, raw: Raw, spec: FittedSpec, columns: Mapping[str, Column], example: Value | None) -> InputField:
    features = [feature for feature in spec.features if name in feature.inputs]
    column = columns.get(raw.of or name)
    known = InputField(
        name=name,
        type=f"array<{raw.type}>" if raw.of else raw.type,
        datatype="BYTES" if raw.dtype == "string" else "FP64",
        length=raw.length,
        from_history=raw.of is not None,
        known=_words(features),
    )
    return known.model_copy(update=_declared(column, raw.of is not None, example)) if column else known


def _declared(column: Column, of_series: bool, example: Value | None) -> dict[str, object]:
    """What a contract says of a column. Bounds that it only warns of are left out, as batches keep such rows too."""
    enforced = column.severity != "warn"
    return {
        "type": f"array<{column.type}>" if of_series else column.type,
        "unit": column.unit,
        "nullable": column.nullable,
        "minimum": column.minimum if enforced else None,
        "maximum": column.maximum if enforced else None,
        "allowed": column.allowed if enforced else (),
        "pattern": column.pattern if enforced else None,
        "comment": column.comment,
        "from_history": of_series or column.from_history,
        "personal": column.personal is not None,
        "example": None if column.personal else example,
    }


def _words(features: Iterable[FittedFeature]) -> tuple[str, ...]:
    """The words that features of a raw value know, in their order; none where one takes any word."""
    known = [feature.words for feature in features]
    if None in known:
        return ()
    return tuple(dict.fromkeys(word for words in known for word in words or ()))[:MOST_WORDS]
