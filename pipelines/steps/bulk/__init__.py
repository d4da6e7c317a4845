"""Ingest and clean of many intervals in one pass."""
