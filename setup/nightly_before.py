"""The contracts of the nightly flights as they were until somebody saw that one airport comes by two names: see run_nightly."""

from dataclasses import replace

from schemas import flights, flights_nightly

EXAMPLES = flights_nightly.EXAMPLES
SOURCES = {**flights_nightly.SOURCES, "flights": replace(flights_nightly.FLIGHTS, columns=flights.FLIGHTS.columns)}
