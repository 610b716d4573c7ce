"""Where the transports' tests look for what is left."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have the host's temporary files, and the processes that it starts, where they can be told from others'.

    The path is shorter than `tmp_path`, so that sockets fit there.
    """
    with tempfile.TemporaryDirectory(prefix="t") as path:
        monkeypatch.setenv("TMPDIR", path)
        monkeypatch.setattr("tempfile.tempdir", None)
        yield Path(path)
