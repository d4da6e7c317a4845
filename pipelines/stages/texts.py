"""Texts cut into words, the same as the served model cuts them."""

from __future__ import annotations

from functools import partial

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipelines.config import FeaturesConfig
from pipelines.expressions import col
from pipelines.fitted import BETWEEN_WORDS, UNKNOWN_ID

GROUPS = 20  # of the buckets of a hash, by which it is told whether words have moved; no word is kept for it


def before_nul(text: Column) -> Column:
    """A text up to its first NUL, which ends a string elsewhere."""
    return F.substring_index(text, "\0", 1)


def words_of(text: Column) -> Column:
    """The words of a text in lower case, an array; empty where there is none."""
    whole = F.lower(F.coalesce(before_nul(text), F.lit("")))
    return F.regexp_extract_all(whole, F.lit(f"[^{BETWEEN_WORDS}]+"), F.lit(0))


def bucket_of(word: Column, buckets: int) -> Column:
    """The number of a word by its hash, from 1."""
    return F.pmod(F.crc32(word.cast("binary")), F.lit(buckets)).cast("int") + 1


def hashed_id(text: Column, buckets: int) -> Column:
    """The number of a text by its hash, 0 where it is missing or empty."""
    word = before_nul(text)
    return F.when(word.isNotNull() & (word != ""), bucket_of(word, buckets)).otherwise(UNKNOWN_ID)


def hashed_group(text: Column, buckets: int) -> Column:
    """Which of `GROUPS` the hash of a text falls in, as a word: "-1" where it is empty, missing where it is missing."""
    return F.when(text.isNotNull(), (hashed_id(text, buckets) - 1) % GROUPS).cast("string")


def count_words(rows: DataFrame, spec: FeaturesConfig) -> dict[str, dict[str, int]]:
    """How often each text feature has its most frequent words, at most as many as its vocabulary may hold, in one job."""
    wanted = {name: text for name, text in spec.text.items() if not text.buckets}
    if not wanted:
        return {}
    each = [F.transform(words_of(col(name)), partial(_marked, at)) for at, name in enumerate(wanted)]
    words = rows.select(F.explode(F.concat(*each)).alias("one")).select("one.*")
    order = Window.partitionBy("at").orderBy(F.desc("count"), "word")
    ranked = words.groupBy("at", "word").count().withColumn("rank", F.row_number().over(order))
    found: dict[str, dict[str, int]] = {name: {} for name in wanted}
    names = list(wanted)
    for row in ranked.where(F.col("rank") <= max(text.max_size for text in wanted.values())).orderBy("at", "rank").collect():
        text = wanted[names[row.at]]
        if row["count"] >= text.min_count and len(found[names[row.at]]) < text.max_size:
            found[names[row.at]][row.word] = row["count"]
    return found


def _marked(at: int, word: Column) -> Column:
    """A word, and which feature it is of."""
    return F.struct(F.lit(at).alias("at"), word.alias("word"))
