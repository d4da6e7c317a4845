"""What of the code decides whether work is done: ringmill's own, and the derivation of the pipeline at hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.runtime import code
from pipelines.runtime.code import derivation_version
from tests.sample import pipeline

MODULES = {
    "shop/__init__.py": "",
    "shop/derive.py": "from __future__ import annotations\n\nfrom shop import prices as p  # ours\nimport json\n",
    "shop/prices.py": "def f():\n    from .parts.units import (\n        EURO,\n    )\n",
    "shop/parts/__init__.py": "",
    "shop/parts/units.py": "EURO = 1\n",
    "shop/other.py": "import shop.derive\n",
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Path]:
    """A package of a derivation, on the path."""
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path / "shop"
    sys.path.remove(str(tmp_path))
    for module in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[module]


@pytest.mark.parametrize(
    ("module", "counts"),
    [("derive.py", True), ("prices.py", True), ("parts/units.py", True), ("__init__.py", True), ("other.py", False)],
)
def test_a_derivation_is_its_module_and_what_that_imports(shop: Path, module: str, *, counts: bool) -> None:
    config = pipeline(
        shop,
        "shop",
        lambda content: (content.update(packages=["schemas", "shop"]), content["features"].update(derive="shop.derive:derive")),
    )
    before = derivation_version(config)
    (shop / module).write_text((shop / module).read_text() + "\n# changed\n")
    assert (derivation_version(config) != before) is counts


def test_ringmills_own_code_has_no_module_of_a_pipeline() -> None:
    files = code._own_files()
    engine = code._reached([name for name in files if not name.startswith(code.OF_PIPELINES)], files)
    of_pipelines = {
        "pipelines.stages": ("digits", "feedback", "flights", "sentiment", "weather"),
        "schemas": ("digits", "flights", "flights_feedback", "flights_nightly", "sentiment", "served", "weather"),
    }
    assert set(files) - engine == {f"{package}.{name}" for package, names in of_pipelines.items() for name in names}
    assert {"pipelines.cleaning.rows", "schemas.contract", "pipelines.io.sources.sqlite", "pipelines.training.layers"} <= engine
