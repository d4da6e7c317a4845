"""The kinds of source: each lands its rows as they are."""
