"""Profiles of columns, by group of rows and by name, in one pass over files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from pyspark.sql import Row, SparkSession

from pipelines.errors import DataError
from pipelines.features.kinds.statistics import ColumnProfile, Profiles
from pipelines.features.kinds.summaries import Levels
from pipelines.features.sketches import GROUP, MERGED, PART, SKETCH, ProfileRequest, merge_sketches, sketch_columns
from pipelines.io.row_groups import Files

SAMPLED_ROWS = 200_000  # that percentiles are taken of: the standard error of a median is then 0.0011 in rank


def sampling_step(rows: int, sample_rows: int = SAMPLED_ROWS) -> int:
    """The step that samples at least `sample_rows` of so many rows when every step-th row is taken."""
    return max(rows // sample_rows, 1)


def profile(
    spark: SparkSession, files: Files, profile_requests: Sequence[ProfileRequest], ids: str = "row_id"
) -> list[dict[str, Profiles]]:
    """The column profiles that each request asks for, of Parquet files: by group, the profiles by name and the number of rows.

    A number that is NaN or infinite is missing. Percentiles and levels are exact on the rows that they are of, counts up to
    `TRACKED_WORDS` distinct words, of texts `TEXT_WORDS`. All is computed in one pass: tasks read row groups by Arrow, without
    Spark's rows between, since turning columns into rows and back takes longest. Their results are merged in the
    order of the files, so the same files have the same profiles to the last bit. Raises DataError when the files lack a column.
    """
    profiles: list[dict[str, Profiles]] = [{} for _ in profile_requests]
    if not files.parts:
        return profiles
    _check_columns(files.columns, profile_requests)
    keys = [
        (index, request)
        for index, profile_request in enumerate(profile_requests)
        for request in (None, *profile_request.requests)
    ]
    texts = {key for key, (_, request) in enumerate(keys) if request is not None and request.kind == "words"}
    numbers = spark.range(0, len(files.parts), 1, len(files.parts))
    parts = numbers.mapInArrow(
        partial(sketch_columns, parts=files.parts, profile_requests=tuple(profile_requests), ids=ids), SKETCH
    )
    ordered = parts.repartition(GROUP, "key").sortWithinPartitions(GROUP, "key", PART, "at")
    rows = ordered.mapInArrow(partial(merge_sketches, texts=texts), MERGED).collect()
    columns: defaultdict[tuple[int, str], dict[str, ColumnProfile]] = defaultdict(dict)
    for row in rows:
        index, request = keys[row.key]
        if request is not None:
            columns[index, row[GROUP]][request.name] = _profile_of(row)
    for row in rows:
        index, request = keys[row.key]
        if request is None:
            profiles[index][row[GROUP]] = Profiles(row.present, columns[index, row[GROUP]])
    return profiles


def _check_columns(columns: Sequence[str], profile_requests: Sequence[ProfileRequest]) -> None:
    requested = {
        column for profile_request in profile_requests for request in profile_request.requests for column in request.columns
    }
    if missing := sorted(requested - set(columns)):
        raise DataError(
            f"features: the examples have no column {', '.join(missing)}; received {', '.join(columns)}. Derive them, or "
            f"leave the features out of the model."
        )


def _profile_of(row: Row) -> ColumnProfile:
    return ColumnProfile(
        present=row.present,
        mean=row["mean"],
        variance=row.squares / max(row.present, 1),
        minimum=row.minimum,
        maximum=row.maximum,
        percentiles=None if row.percentiles is None else tuple(row.percentiles),
        levels=None if row.levels is None else Levels.from_bytes(row.levels),
        counts=dict(zip(row.words, row.counts, strict=True)),
    )
