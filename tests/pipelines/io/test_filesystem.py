"""Folders that are published to a file system and to an object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.io import filesystem as storage
from tests.stores import KEY, s3_files, s3_server


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place for folders, with a colon that Spark has written as it writes those of partitions."""
    if request.param == "local":
        yield f"{tmp_path}/at=01%3A00"
        return
    with s3_server() as address:
        given = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": KEY, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": address}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        s3_files(address).create_dir("published")
        yield "s3a://published/at=01%3A00"


def test_a_folder_takes_the_place_of_what_was_there(place: str, tmp_path: Path) -> None:
    made, uri = tmp_path / "made", f"{place}/model"
    (made / "inner").mkdir(parents=True)
    (made / "inner" / "a").write_text("1")
    for name in ("old", "new"):
        (made / name).write_text(name)
        storage.publish_folder(made, uri)
        (made / name).unlink()
    assert storage.list_files(uri) == [f"{uri}/new"]
    assert storage.list_folders(place) == [uri]
    assert storage.read_bytes(f"{uri}/inner/a") == b"1"
    fetched = storage.fetch_folder(uri, tmp_path / "fetched")
    assert sorted(path.name for path in fetched.rglob("*") if path.is_file()) == ["a", "new"]
