"""The alias file, as a service without Spark reads it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.config import Pipeline
from pipelines.errors import DataError, ExternalError
from pipelines.registry.aliases import alias_uri, champion, write_aliases
from pipelines.registry.source import AliasSource
from tests.pipelines.registry.versions import history, version
from tests.root import ROOT
from tests.sample import pipeline


@pytest.fixture
def config(tmp_path: Path) -> Pipeline:
    """A pipeline of which two versions passed their gate and a third did not; version 2 is the champion."""
    rows = []
    for number in (1, 2, 3):
        folder = tmp_path / f"bundle{number}"
        folder.mkdir()
        (folder / "manifest.json").write_text(f'{{"number": {number}}}')
        digest = hashlib.sha256(f'{{"number": {number}}}'.encode()).hexdigest()
        rows.append(version(number, uri=str(folder), hash=digest, state="refused" if number == 3 else "passed"))
    toy = pipeline(tmp_path, "toy")
    assert write_aliases(
        toy, history(rows[0], rows[1].model_copy(update={"alias": "champion", "metrics": {"threshold": 0.31}}), rows[2]), 77
    )
    return toy


def test_an_alias_or_a_number_names_a_version(config: Pipeline, tmp_path: Path) -> None:
    bundle = champion(config)
    assert bundle == (2, str(tmp_path / "bundle2"), hashlib.sha256(b'{"number": 2}').hexdigest(), 0.31)
    assert champion(config, "champion") == bundle
    assert champion(config, "1").uri == str(tmp_path / "bundle1")
    assert json.loads(Path(alias_uri(config)).read_text())["snapshot"] == 77
    source = AliasSource(config, "champion")
    assert source.current() == ("2", str(tmp_path / "bundle2"), 0.31)
    assert write_aliases(config, history(version(1, alias="champion", uri=bundle.uri, hash=bundle.hash)), 78)
    assert source.current() == ("1", str(tmp_path / "bundle2"), None)


def test_the_file_is_written_only_when_it_says_another_thing(config: Pipeline) -> None:
    one = version(1, alias="champion")
    assert write_aliases(config, history(one), 78)
    assert not write_aliases(config, history(one), 79)
    Path(alias_uri(config)).write_text("{")
    assert write_aliases(config, history(one), 79)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("challenger", r"model challenger: no version has that alias; there is champion \(version 2\)\. Run jobs/promote\.py"),
        ("3", r"model 3: version 3 is not among the versions that passed their gate \(1, 2\)"),
        ("9", r"model 9: version 9 is not among the versions"),
    ],
)
def test_a_name_without_a_usable_version_is_exit_3(config: Pipeline, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        champion(config, name)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"the registry is empty: there is no .*aliases\.json\. Run jobs/publish\.py first"),
        ("{", r"aliases\.json is damaged .* Run jobs/maintain\.py, which writes it anew"),
        ("[]", r"aliases\.json is damaged"),
        ('{"format": 1, "aliases": {"champion": null}}', r"aliases\.json is damaged"),
        ('{"format": 2}', r"has format 2; this version of ringmill reads up to 1"),
        (
            '{"format": 1, "name": "toy", "snapshot": 1, "aliases": {"champion": 8}, "versions": {}}',
            r"model champion: version 8 of the alias champion is not among the versions that passed their gate \(none\)",
        ),
    ],
)
def test_a_missing_or_damaged_file_is_exit_3(config: Pipeline, content: str | None, message: str) -> None:
    path = Path(alias_uri(config))
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DataError, match=message):
        champion(config)


def test_a_bundle_that_is_gone_or_altered_is_exit_5(config: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "bundle2" / "manifest.json").write_text('{"number": 4}')
    with pytest.raises(ExternalError, match=r"bundle2: its manifest has SHA-256 .* the folder has changed since") as caught:
        champion(config)
    assert caught.value.exit_code == 5
    shutil.rmtree(tmp_path / "bundle2")
    with pytest.raises(ExternalError, match=r"bundle2: its manifest can't be read .* promote another version"):
        champion(config)


def test_reading_an_alias_loads_neither_spark_nor_tensorflow() -> None:
    script = (
        "import sys, pipelines.registry.aliases\n"
        "loaded = {name.partition('.')[0] for name in sys.modules} & {'pyspark', 'py4j', 'tensorflow', 'keras'}\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
