"""What looks like contracts and is none."""

SOURCES = {"flights": "year int, month int"}
EXAMPLES = ("year", "month")
