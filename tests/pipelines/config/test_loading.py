"""What a configuration names by a dotted path and can't be loaded is one sentence, with the line that raises."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.config import load
from pipelines.errors import ConfigError

MODULES = {
    "raising": "def f():\n    1 / 0\n\nf()\n",
    "lacking": "import nowhere_at_all\n",
    "unwritten": "x = 1\ny = = 2\n",
    "leaving": "raise SystemExit(3)\n",
    "wrong": 'from schemas.contract import Column\n\nx = (Column("x", "int", severity="error"),)\n',
}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere_at_all.x:y", r"cannot load 'nowhere_at_all\.x:y': there is no module nowhere_at_all\. .*PYTHONPATH"),
        ("json.nowhere:y", r"there is no module json\.nowhere"),
        ("json:y", r"json has no y\. .*; it has .*dumps"),
        ("json", "'json': it is no such path. Expected 'module:name'"),
        (":y", "it is no such path"),
        (".json:y", "it is no such path"),
        ("a b:y", "it is no such path"),
        ("json:", "it is no such path"),
        ("raising:y", r"'raising:y': it raises ZeroDivisionError, division by zero \(.*raising\.py, line 2\)"),
        ("lacking:y", r"it raises ModuleNotFoundError, No module named 'nowhere_at_all' \(.*lacking\.py, line 1\)"),
        ("unwritten:y", r"it raises SyntaxError, .*\(.*unwritten\.py, line 2\)"),
        ("leaving:y", r"it raises SystemExit, 3 \(.*leaving\.py, line 1\)"),
        ("wrong:y", r"derive: column x: severity 'error'; expected one of quarantine, warn, fail\. \(.*wrong\.py, line 3\)"),
    ],
)
def test_what_can_not_be_loaded_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=message) as caught:
        load(path, "features.derive")
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith("features.derive: ")
