"""What a session that was killed left on the device goes with the next one; nothing else does."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from pytest_xdevice.runtime.leftovers import sweep
from pytest_xdevice.runtime.scratch import hold
from pytest_xdevice.runtime.scratch import unpack


@pytest.fixture(autouse=True)
def _folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def make(path: Path) -> Path:
    path.mkdir()
    (path / "file").touch()
    return path


def test_a_folder_that_nobody_holds_any_more_is_removed(tmp_path: Path) -> None:
    held, abandoned = make(tmp_path / "xdevice-held"), make(tmp_path / "xdevice-abandoned")
    lock = hold(str(held))
    os.close(hold(str(abandoned)))
    sweep()
    assert list(tmp_path.iterdir()) == [held]
    os.close(lock)
    sweep()
    assert not list(tmp_path.iterdir())


def test_a_folder_of_a_process_that_was_killed_before_it_was_a_session_is_removed(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as contents:
        contents.writestr("file", "")
    child = os.fork()
    if not child:
        try:
            unpack(archive.getvalue())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert len([*tmp_path.iterdir()]) == 1
    sweep()
    assert not list(tmp_path.iterdir())


def test_what_no_session_made_stays(tmp_path: Path) -> None:
    elsewhere = make(tmp_path / "elsewhere")
    os.close(hold(str(elsewhere)))
    (tmp_path / "xdevice-link").symlink_to(elsewhere)
    (tmp_path / "xdevice-file").touch()
    make(tmp_path / "xdevice-without-a-lock")
    linked = make(tmp_path / "xdevice-with-a-linked-lock")
    (linked / "lock").symlink_to(elsewhere / "lock")
    sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "elsewhere",
        "xdevice-file",
        "xdevice-link",
        "xdevice-with-a-linked-lock",
        "xdevice-without-a-lock",
    ]
    assert (elsewhere / "file").exists()
