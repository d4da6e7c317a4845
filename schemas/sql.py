"""SQL expressions, as far as they are known without Spark: their words, and whether they are obviously no truth value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

SHOWN = 40  # names in a message; of more only those that are alike
TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<text>[rR](?:'[^']*'|"[^"]*")|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<quoted>`(?:[^`]|``)*`)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?:BD|bd|[LSYDFlsydf])?(?!\w))
    |(?P<word>\w+)
    |(?P<open_quote>['"`])
    |(?P<operator><=>|->|=>|::|<>|!=|<=|>=|==|\|\||<<|>>|.)""",
    re.VERBOSE | re.DOTALL,
)
LOGICAL = frozenset(re.split(" ", "AND OR NOT IN IS BETWEEN LIKE ILIKE RLIKE REGEXP EXISTS = == <=> <> != < > <= >= !"))
ARITHMETIC = frozenset(("+", "-", "*", "/", "%", "&", "|", "^", "||", "DIV"))
# Words that are no columns where an expression has them: its grammar's, its types and its units of time.
WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    AND OR NOT IN IS NULL TRUE FALSE UNKNOWN BETWEEN LIKE ILIKE RLIKE REGEXP ANY SOME ALL ESCAPE CASE WHEN THEN ELSE END
    CAST TRY_CAST AS DIV MOD DISTINCT FROM FOR TO INTERVAL EXISTS TRIM BOTH LEADING TRAILING EXTRACT POSITION OVERLAY PLACING
    SUBSTRING COLLATE OVER PARTITION BY ORDER ASC DESC NULLS FIRST LAST ROWS RANGE PRECEDING FOLLOWING UNBOUNDED CURRENT ROW
    FILTER WHERE WITHIN GROUP IGNORE RESPECT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER USER SESSION_USER
    LOCALTIMESTAMP CURRENT_CATALOG CURRENT_DATABASE CURRENT_SCHEMA CURRENT_TIMEZONE
    BOOLEAN BYTE TINYINT SHORT SMALLINT INT INTEGER LONG BIGINT FLOAT REAL DOUBLE DECIMAL DEC NUMERIC STRING CHAR CHARACTER
    VARCHAR BINARY DATE TIME TIMESTAMP TIMESTAMP_LTZ TIMESTAMP_NTZ VOID VARIANT ARRAY MAP STRUCT PRECISION
    NANOSECOND NANOSECONDS MICROSECOND MICROSECONDS MILLISECOND MILLISECONDS SECOND SECONDS MINUTE MINUTES HOUR HOURS DAY DAYS
    WEEK WEEKS MONTH MONTHS QUARTER QUARTERS YEAR YEARS DAYOFYEAR DAYOFWEEK""",
    )
)
# After these a word is a type or another name, within these functions the first one is a unit.
NAMING = ("AS", "::", "COLLATE", ".", ":", "@")
UNITS = ("EXTRACT", "DATEADD", "DATE_ADD", "DATEDIFF", "DATE_DIFF", "TIMESTAMPADD", "TIMESTAMPDIFF")
UNCHECKED = ("SELECT", "STRUCT")  # with a query or a nested type in it, words mean other things


class Token(NamedTuple):
    """A part of an expression, and its kind: text, quoted (a name), number, word or operator."""

    kind: str
    text: str

    @property
    def upper(self) -> str:
        """The part in capitals, of a word or operator; empty for any other, so that no text is taken for a word."""
        return self.text.upper() if self.kind in ("word", "operator") else ""


NOTHING = Token("", "")


def sql_problem(sql: str, types: Mapping[str, str], *, truth: bool) -> str | None:
    """What is wrong with an expression over columns of these types; None when nothing is known to be.

    With `truth` it has to be true or false. What takes Spark to know, such as which functions there are, is left to it.
    """
    tokens = [Token(str(match.lastgroup), match[0]) for match in TOKEN.finditer(sql) if match.lastgroup != "space"]
    if not tokens:
        return "is empty; expected SQL over the columns"
    if any(token.kind == "open_quote" for token in tokens):
        return "has a quote that is not closed; expected quotes in pairs"
    if not _balanced(tokens):
        return "has brackets that do not match; expected each closed once"
    if unknown := unknown_columns(tokens, types):
        return f"names no column {', '.join(unknown)}; expected some of {choices(types, unknown)}"
    kind = _type_of(tokens, {name.lower(): type_ for name, type_ in types.items()})
    if truth and kind not in (None, "boolean"):
        return f"gives {kind}; expected what is true or false, such as a comparison"
    return None


def choices(names: Iterable[str], near: Sequence[str] = ()) -> str:
    """Names as a message lists them; of very many those that are most like the ones in `near`, and how many there are."""
    known = list(names)
    if len(known) <= SHOWN:
        return ", ".join(known)
    alike = [match for name in near for match in difflib.get_close_matches(name, known, n=5, cutoff=0.5)]
    return f"{', '.join(alike or known[:5])}, … ({len(known):,} in all)"


def unknown_columns(tokens: Sequence[Token], columns: Iterable[str]) -> list[str]:
    """The names that can only be columns and are none, each once; SQL takes capitals and small letters as one."""
    if any(token.upper in UNCHECKED for token in tokens):
        return []
    known = {name.lower() for name in columns} | _parameters(tokens)
    unknown: dict[str, None] = {}
    for index, token in enumerate(tokens):
        before, after = tokens[index - 1] if index else NOTHING, tokens[index + 1] if index + 1 < len(tokens) else NOTHING
        within = tokens[index - 2].upper if index > 1 and before.text == "(" else ""
        named = token.kind == "quoted" or (token.kind == "word" and token.upper not in WORDS and within not in UNITS)
        if not named or after.text in ("(", "=>") or after.kind == "text" or before.upper in NAMING:
            continue
        name = token.text[1:-1].replace("``", "`") if token.kind == "quoted" else token.text
        if name.lower() not in known:
            unknown[name] = None
    return list(unknown)


def _parameters(tokens: Sequence[Token]) -> set[str]:
    """The parameters of functions within the expression: `x -> …` and `(x, y) -> …`."""
    parameters: set[str] = set()
    for index, token in enumerate(tokens):
        if token.text != "->":
            continue
        start = index - 1
        while start > 0 and tokens[index - 1].text == ")" and tokens[start].text != "(":
            start -= 1
        parameters |= {part.text.strip("`").lower() for part in tokens[start:index] if part.kind in ("word", "quoted")}
    return parameters


def _balanced(tokens: Sequence[Token]) -> bool:
    pairs, opened = {")": "(", "]": "["}, []
    for token in tokens:
        if token.kind == "operator" and token.text in "([":
            opened.append(token.text)
        elif token.kind == "operator" and token.text in pairs and (not opened or opened.pop() != pairs[token.text]):
            return False
    return not opened


def _type_of(tokens: Sequence[Token], types: Mapping[str, str]) -> str | None:
    """What an expression obviously is: "boolean", or another type in words; None when that is not obvious."""
    top = _outermost(tokens)
    if not top and len(tokens) > 2:
        return _type_of(tokens[1:-1], types)  # all of it in brackets
    if any(token.upper in LOGICAL for token in top):
        return "boolean"
    if any(token.upper in ("::", "SELECT", "INTERVAL") for token in tokens):
        return None
    if any(token.upper in ARITHMETIC for token in top):
        return "the result of a calculation"
    return _type_of_one(tokens[0], types) if len(tokens) == 1 else None


def _type_of_one(only: Token, types: Mapping[str, str]) -> str | None:
    if only.kind in ("text", "number"):
        return f"the {only.kind} {only.text}"
    name = only.text[1:-1].replace("``", "`") if only.kind == "quoted" else only.text
    type_ = types.get(name.lower())
    return "boolean" if type_ == "boolean" else f"{name}, of type {type_}" if type_ else None


def _outermost(tokens: Sequence[Token]) -> list[Token]:
    """The parts that stand in no brackets, and not between CASE and END."""
    cases = any(token.upper == "CASE" for token in tokens)  # without one, END is a column
    opening, closing = (("(", "[", "CASE"), (")", "]", "END")) if cases else (("(", "["), (")", "]"))
    depth, top = 0, []
    for token in tokens:
        depth -= token.upper in closing
        if depth == 0 and token.upper not in ("(", *closing):
            top.append(NOTHING if token.upper in opening else token)  # what [ or CASE opens is not all in brackets
        depth += token.upper in opening
    return top
