"""The digits pipeline's contracts: 1,797 handwritten digits of 8 by 8 pixels.

Source: scikit-learn's digits (UCI's Optical Recognition of Handwritten Digits, test set; CC BY 4.0), each as a grey PNG.
"""

from schemas.contract import Column, Table

DIGITS = Table(
    name="digits",
    columns=(
        Column("id", "int", nullable=False, minimum=0),
        Column("digit", "int", nullable=False, minimum=0, maximum=9),
        Column("image", "string", nullable=False, pattern="^[A-Za-z0-9+/]+=*$", comment="a PNG as base64"),
    ),
    key=("id",),
    latest_by=("image",),
)

SOURCES = {DIGITS.name: DIGITS}

EXAMPLES = Table(
    name="examples",
    columns=(DIGITS.column("id"), Column("label", "float", comment="the digit"), DIGITS.column("image")),
    key=("id",),
)
