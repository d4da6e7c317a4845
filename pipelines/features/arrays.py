"""Raw values of Arrow tables as NumPy arrays, as kinds of feature take them from a backend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.features.folds import folds_of
from pipelines.features.kinds.base import PART, UNKNOWN_ID
from pipelines.features.kinds.statistics import Words
from pipelines.features.numpy_rows import Ids, Mask, NumpyRows, Values, hashed
from pipelines.features.tokens import before_nul

MICROS = 1e6


class ArrowRows(NumpyRows):
    """Rows of an Arrow table, each column taken apart once.

    With `out_of_fold` the rows have the columns `split` and `row_id`, and those of the train split are in folds.
    """

    def __init__(self, table: pa.Table, *, out_of_fold: bool = False) -> None:
        super().__init__()
        self.table = table
        self._out_of_fold = out_of_fold
        self._numbers: dict[str, tuple[Values, Mask]] = {}
        self._words: dict[str, Words] = {}

    @property
    def count(self) -> int:
        return int(self.table.num_rows)

    def numbers(self, names: Sequence[str]) -> tuple[Values, Mask]:
        [name] = names
        if name not in self._numbers:
            self._numbers[name] = numbers_of(whole(self.table[name]))
        return self._numbers[name]

    def series(self, name: str, length: int) -> tuple[Values, Mask]:
        column = whole(self.table[name])
        values = np.full((len(column), length), np.nan)
        missing = np.zeros((len(column), length), np.bool_)
        # A series that is not there, or not as long, is not missing in part: what is made of it is not finite.
        complete = pc.fill_null(pc.equal(pc.list_value_length(column), length), False).to_numpy(zero_copy_only=False)
        some = column if complete.all() else column.filter(pa.array(complete))
        flat, lacking = numbers_of(some.flatten())
        values[complete], missing[complete] = flat.reshape(-1, length), lacking.reshape(-1, length)
        return values, missing

    def words(self, name: str) -> Words:
        if name not in self._words:
            column = self.table[name]
            if not pa.types.is_dictionary(column.type):
                column = column.cast(pa.string()).dictionary_encode()
            self._words[name] = _encoded(whole(column.unify_dictionaries() if isinstance(column, pa.ChunkedArray) else column))
        return self._words[name]

    def present(self, name: str) -> Mask:
        mask: Mask = whole(self.table[name]).is_valid().to_numpy(zero_copy_only=False)
        return mask

    def crossed_words(self, names: tuple[str, ...]) -> Words:
        """Several columns' words as one, joined by `PART`; missing where one is missing, empty or holds that."""
        parts = [_decoded(self.words(name)) for name in names]
        usable = (pc.and_(pc.not_equal(part, ""), pc.invert(pc.match_substring(part, PART))) for part in parts)
        joined = pc.binary_join_element_wise(*parts, PART)
        return _encoded(pc.if_else(reduce(pc.and_, usable), joined, pa.scalar(None, pa.string())))

    def hashed_groups(self, name: str, buckets: int, groups: int) -> Words:
        """The remainders of hashed ids, less 1, by a number of groups, as words: "-1" where a word is empty."""
        words = self.words(name)
        known = (hashed(before_nul(word or ""), buckets) - 1 for word in texts(words.dictionary))
        of_word = ["-1" if position < 0 else str(position % groups) for position in known]
        dictionary = pa.array(of_word, pa.string()).dictionary_encode()
        codes = np.append(dictionary.indices.to_numpy(), len(dictionary.dictionary))
        return Words(codes[words.codes], dictionary.dictionary)

    def text_lengths(self, name: str) -> Values:
        """The number of characters of a text, NaN where missing."""
        return numbers_of(pc.utf8_length(whole(self.table[name])))[0]

    def word_counts(self, name: str) -> Values:
        """The number of words of a text, NaN where there is none."""
        counts = np.array([len(words) for words in self.split(name)], np.float64)
        counts[counts == 0] = np.nan
        return counts

    def text_words(self, name: str) -> Words:
        """All words of a text, in lower case."""
        rows = self.split(name)
        encoded = _encoded(pa.array([word for words in rows for word in words], pa.string()))
        return encoded._replace(rows=np.repeat(np.arange(len(rows)), [len(words) for words in rows]))

    def word_ids(self, name: str, vocabulary: tuple[str, ...]) -> Ids:
        words = self.words(name)
        return _of_word(words, _positions(words.dictionary, vocabulary) + (UNKNOWN_ID + 1))

    def hashed_ids(self, name: str, buckets: int) -> Ids:
        words = self.words(name)
        known = (hashed(before_nul(word or ""), buckets) for word in texts(words.dictionary))
        return _of_word(words, np.fromiter(known, np.int32, len(words.dictionary)))

    def own_fold(self, folds: int) -> npt.NDArray[np.int64] | None:
        if not self._out_of_fold:
            return None
        of_train = pc.equal(self.table["split"].cast(pa.string()), "train")
        train = whole(of_train).fill_null(False).to_numpy(zero_copy_only=False)
        return np.where(train, folds_of(self.table["row_id"].to_numpy(), folds), -1)

    def texts(self, name: str) -> list[str | None]:
        return texts(whole(self.table[name]))


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array, its chunks put together."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def texts(column: pa.Array) -> list[str | None]:
    """Words or texts; bytes that are no UTF-8 are replaced."""
    return [None if each is None else each.decode(errors="replace") for each in column.cast(pa.binary()).to_pylist()]


def numbers_of(column: pa.Array) -> tuple[Values, Mask]:
    """Numbers, NaN where missing, of a time the seconds since 1970; and which are missing."""
    if pa.types.is_timestamp(column.type):
        micros, lacking = numbers_of(column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()))
        return micros / MICROS, lacking
    if not pa.types.is_float64(column.type):
        column = column.cast(pa.float64(), safe=False)
    if not column.null_count:
        return column.to_numpy(), np.zeros(len(column), np.bool_)
    # By their buffers: Arrow's own conversions go through the values one by one.
    validity, numbers = column.buffers()
    first, end = column.offset // 8, column.offset + len(column)
    bits = np.unpackbits(np.frombuffer(validity, np.uint8)[first:], count=end - 8 * first, bitorder="little")
    missing: Mask = bits[column.offset - 8 * first :] == 0
    values = np.frombuffer(numbers, np.float64)[column.offset : end].copy()
    np.copyto(values, np.nan, where=missing)
    return values, missing


def _encoded(column: pa.Array) -> Words:
    """Words as a dictionary has them."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    return Words(codes, encoded.dictionary)


def _decoded(words: Words) -> pa.Array:
    """Words one by one, null where missing."""
    codes = pa.array(words.codes, mask=words.codes == len(words.dictionary))
    return words.dictionary.take(codes)


def _positions(words: pa.Array, vocabulary: tuple[str, ...]) -> Ids:
    """The positions of words in a vocabulary, -1 of others."""
    positions: Ids = pc.fill_null(pc.index_in(words, _value_set(vocabulary)), -1).to_numpy(zero_copy_only=False)
    return positions


@cache
def _value_set(vocabulary: tuple[str, ...]) -> pa.Array:
    return pa.array(vocabulary, pa.string())


def _of_word(words: Words, ids: Ids) -> Ids:
    """Ids by the positions of the dictionary, for the rows; a missing word is unknown."""
    known: Ids = np.append(ids, np.int32(UNKNOWN_ID)).astype(np.int32)[words.codes]
    return known
