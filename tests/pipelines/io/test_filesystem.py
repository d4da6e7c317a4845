"""Folders that are published to a file system and to an object store."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from urllib.parse import urlparse

import pytest

from pipelines.interruption import PROCESS, SIGNALS, Interrupted
from pipelines.io import filesystem as storage
from tests.stores import s3_files, s3_server, s3_variables


@pytest.fixture(params=["local", "s3"])
def base(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A directory for folders, with a colon that Spark writes as it does those of partitions."""
    if request.param == "local":
        yield f"{tmp_path}/at=01%3A00"
        return
    with s3_server() as address:
        given = s3_variables(address)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        bucket = f"published-{urlparse(address).port}"  # of each server its own: a store is looked up once a process
        s3_files(address).create_dir(bucket)
        yield f"s3a://{bucket}/at=01%3A00"


def test_a_folder_replaces_the_one_before(base: str, tmp_path: Path) -> None:
    folder, uri = tmp_path / "new", f"{base}/model"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a").write_text("1")
    for name in ("old", "new"):
        (folder / name).write_text(name)
        storage.publish_folder(folder, uri)
        (folder / name).unlink()
    assert storage.list_files(uri) == [f"{uri}/new"]
    assert storage.list_folders(base) == [uri]
    assert storage.read_bytes(f"{uri}/inner/a") == b"1"
    fetched = storage.fetch_folder(uri, tmp_path / "fetched")
    assert sorted(path.name for path in fetched.rglob("*") if path.is_file()) == ["a", "new"]


def test_a_file_is_written_whole_and_nothing_lies_beside_it(base: str) -> None:
    for content in (b"old", bytes(range(256)) * 50_000, b""):  # 12.8 MB, which go to an object store in parts
        storage.write_bytes(f"{base}/a.json", content)
        assert storage.read_bytes(f"{base}/a.json") == content
        assert storage.list_files(base) == [f"{base}/a.json"]


class Stream(io.BytesIO):
    """An object store's stream: what has come when it is closed is the object. Somebody presses Ctrl-C while it is open."""

    objects: ClassVar[list[bytes]] = []

    def __enter__(self) -> Stream:
        os.kill(os.getpid(), signal.SIGINT)
        return self

    def close(self) -> None:
        if not self.closed:
            self.objects.append(self.getvalue())
        super().close()


def test_a_signal_makes_no_object_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    store = SimpleNamespace(type_name="s3", create_dir=lambda *_, **__: None, open_output_stream=lambda _: Stream())
    monkeypatch.setattr(storage, "locate", lambda _: (store, "bucket/claim.json"))
    PROCESS.begin()
    try:
        with pytest.raises(Interrupted):
            storage.write_bytes("s3://bucket/claim.json", b"whole")
    finally:
        PROCESS.begin()  # as if none had come
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert Stream.objects == [b"whole"]


def test_what_killed_writers_left_half_written_goes_once_it_is_old(tmp_path: Path) -> None:
    old, new = "a" * 32, "b" * 32
    old_parts = [f"models/aliases.json.{old}.partial", f"models/run_1.{old}.partial/saved_model/variables"]
    remaining = [f"models/run_2.{new}.partial/model.keras", "models/run_0/x.partial", "models/aliases.json", f"{old}.partialx"]
    for name in (*old_parts, *remaining):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for path in tmp_path.rglob("*"):
        os.utime(path, (0, 0))
    os.utime(tmp_path / remaining[0])  # which somebody is about to write
    assert storage.remove_partials(f"{tmp_path}", 3600, dry=True) == 2
    assert all((tmp_path / name).exists() for name in old_parts)
    assert storage.remove_partials(f"{tmp_path}", 3600) == 2
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(remaining)
    assert not (tmp_path / "models" / f"run_1.{old}.partial").exists()
    assert storage.remove_partials(f"{tmp_path}/not_there", 0) == 0
