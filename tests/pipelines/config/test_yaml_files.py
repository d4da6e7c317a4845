"""What is no YAML, or has a key twice, is refused with its line; no library's error is the message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.config import read_config
from pipelines.config.yaml_files import parse_yaml
from pipelines.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "line 2, column 1: not valid YAML: did not find expected node content"),
        ("- a", r"\(the whole file\): expected a section with the keys pipeline, title, .*; received \['a'\]"),
        ("a: b: c", "line 1, column 5: not valid YAML: mapping values are not allowed"),
        ("a: *b", "line 1, column 4: not valid YAML: found undefined alias"),
        ("a: 1\n---\nb: 2", "line 2, column 1: not valid YAML: but found another document"),
        ("\x00", "not valid YAML: .*control characters are not allowed"),
        ("[" * 5000, "not valid YAML"),
        ("a: !!int x", "line 1, column 4: a: not valid YAML: 'x' can't be read as int"),
        ("? [a]\n: 3", "line 1, column 3: not valid YAML: found unhashable key"),
        ("interval: {from: 2013-02-30, to: 2014-01-01}", r"line 1, column 18: interval\.from: .*'2013-02-30' can't be read as"),
        ("interval: {from: 2013-01-01 25:00:00}", r"interval\.from: .*hour must be in 0\.\.23"),
        ("train: {epochs: 3}\nlake: {}\ntrain: {seed: 7}", "line 3: the key train is there twice, first in line 1; expected"),
        ("a:\n  b:\n  - c: 1\n    d: 2\n    c: 3", r"line 5: the key a\.b\.0\.c is there twice, first in line 3"),
        ("a: {1: x, 0x1: y}", r"line 1: the key a\.0x1 is there twice"),
        ("extends: no.yaml", r"config .*no\.yaml: cannot be read"),
        ("extends: [a]", r"config .*: extends: expected the name of a file in the same folder; received \['a'\]"),
        ("extends:", r"extends: expected the name of a file in the same folder; received None"),
        (
            "train: {epochs: 010}",
            r"line 1, column 17: train\.epochs: not valid YAML: '010' can't be read as int \(YAML takes it for",
        ),
        (
            "train: {epochs: 1:30}",
            r"'1:30' can't be read as int \(YAML takes it for octal or for base 60; write another number",
        ),
        ('extends: "a\\0b"', r"config '.*a\\x00b': not valid YAML: embedded null"),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_line(write: Callable[[str, str], str], text: str, message: str) -> None:
    path = write("bad.yaml", text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(Path(path))
    assert path in str(caught.value) or "extends" in text
    assert str(caught.value).isprintable()


def test_a_mapping_may_take_over_keys_and_give_its_own() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]"
    assert parse_yaml(text, Path("a.yaml")) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": [{"x": 1, "y": 2}] * 2}


def test_the_absolute_path_of_a_missing_file_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"config conf/none\.yaml: cannot be read \({tmp_path}/conf/none\.yaml: No such"):
        read_config(Path("conf/none.yaml"))
    (tmp_path / "a.yaml").write_text("3")
    with pytest.raises(ConfigError, match=rf"^config {tmp_path}/a\.yaml: \(the whole file\)"):
        read_config(Path("a.yaml"))
