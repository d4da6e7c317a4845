"""Contracts whose examples have no key."""

from dataclasses import replace

from schemas import flights

SOURCES = flights.SOURCES
EXAMPLES = replace(flights.EXAMPLES, key=())
