"""What a check of a machine or of Spark's settings saw; plain Python, as the doctor is."""

from typing import NamedTuple


class CheckResult(NamedTuple):
    """What a check saw: its name, whether all is well, and the fix where it is not."""

    name: str
    ok: bool
    saw: str
    fix: str = ""
