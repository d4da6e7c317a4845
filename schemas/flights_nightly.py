"""The contracts of flights that come night by night: as those of the year at once, but that a correction that lands later
replaces what it corrects, and that one airport comes by two names.
"""

from dataclasses import replace

from schemas import flights
from schemas.contract import LANDING_ORDER

EXAMPLES = flights.EXAMPLES
ALIASES = {"NEWARK": "EWR"}
FLIGHTS = replace(
    flights.FLIGHTS,
    latest_by=(LANDING_ORDER,),
    columns=tuple(replace(c, aliases=ALIASES) if c.name == "origin" else c for c in flights.FLIGHTS.columns),
)
SOURCES = {**flights.SOURCES, "flights": FLIGHTS}
