"""The sentiment pipeline's contracts: 10,605 snippets of film reviews, each rated by twenty people or so.

Source: the package vaderSentiment 0.5 (MIT), Hutto and Gilbert, VADER: A parsimonious rule-based model for sentiment analysis
of social media text (2014); the snippets are Pang and Lee's (2004).
"""

from schemas.contract import Column, Table

SNIPPETS = Table(
    name="snippets",
    columns=(
        Column("id", "int", nullable=False, minimum=1),
        Column("rating", "double", nullable=False, minimum=-4, maximum=4, comment="mean, from -4 (negative) to 4 (positive)"),
        Column("text", "string", nullable=False),
    ),
    key=("id",),
    latest_by=("text",),
)

SOURCES = {SNIPPETS.name: SNIPPETS}

EXAMPLES = Table(
    name="examples",
    columns=(
        SNIPPETS.column("id"),
        Column("label", "float", comment="1 when the snippet is positive, 0 when it is negative, null when it is neither"),
        SNIPPETS.column("text"),
    ),
    key=("id",),
)
