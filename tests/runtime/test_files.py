"""Files of a session: no name leads out of its directory, whatever it is made of."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_xdevice.runtime.files import FileStore
from pytest_xdevice.runtime.launch import DeviceProblem

OUTSIDE = [
    "", ".", "..", "/", "../secret", "/etc/passwd", "a/../../secret", "a/../..", "./..", "link/secret", "link", "a\0b",
    "/" * 10, "x" * 300, "x/" * 2000, "x" * 100_000, "\ud800", "../store2/x", "link/../../secret",
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """Return a store beside a secret, with a link that leads out to it."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "store2").mkdir()
    (tmp_path / "store2" / "x").write_bytes(b"secret")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "link").symlink_to(tmp_path)
    return FileStore(str(tmp_path / "store"))


def snapshot(path: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in path.iterdir() if file.is_file()}


@pytest.mark.parametrize("name", OUTSIDE, ids=[ascii(name)[:20] for name in OUTSIDE])
def test_names_that_lead_out(store: FileStore, name: str, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    with pytest.raises(DeviceProblem):
        store.write(name, memoryview(b"data"))
    with pytest.raises(DeviceProblem):
        store.read(name)
    if name != "link":
        with pytest.raises(DeviceProblem):
            store.remove(name)
    assert snapshot(tmp_path) == before
    assert (tmp_path / "store2" / "x").exists()


def test_a_link_can_be_removed_and_what_it_leads_to_stays(store: FileStore, tmp_path: Path) -> None:
    store.remove("link")
    assert (tmp_path / "secret").exists()
    assert not (tmp_path / "store" / "link").is_symlink()


def test_a_listing_follows_no_links(store: FileStore) -> None:
    store.write("a/b", memoryview(b""))
    assert [name for name in store.list() if name != "link"] == ["a/b"]


@pytest.mark.parametrize("name", [None, 3, ["a"], {"a": 1}])
def test_what_is_no_text_is_no_name(store: FileStore, name: object) -> None:
    with pytest.raises(DeviceProblem, match="not a name inside"):
        store.read(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["\udcff\udcfe", "a/\udc80", " ", "-rf", "ä", "x" * 255, "a/../b", "...", "\n"])
def test_odd_names_that_are_names(store: FileStore, name: str) -> None:
    store.write(name, memoryview(b"data"))
    assert store.read(name) == b"data"
    assert os.path.normpath(name) in store.list()
    store.remove(name)


parts = st.sampled_from(["..", ".", "a", "link", "", "secret", "store", "store2", "x", "\udc80", "~", "a" * 300])


@given(name=st.lists(parts, max_size=8).map("/".join))
@settings(max_examples=500)
def test_no_name_reads_or_changes_what_lies_outside(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    outside = tmp_path_factory.getbasetemp() / "outside"
    inside = outside / "store"
    inside.mkdir(parents=True, exist_ok=True)
    (outside / "secret").write_bytes(b"secret")
    if not (inside / "link").is_symlink():
        (inside / "link").symlink_to(outside)
    store = FileStore(str(inside))
    for act in (lambda: store.write(name, memoryview(b"data")), lambda: store.read(name), lambda: store.remove(name)):
        with contextlib.suppress(DeviceProblem):
            assert act() != b"secret"
    assert sorted(os.listdir(outside)) == ["secret", "store"]
    assert (outside / "secret").read_bytes() == b"secret"
