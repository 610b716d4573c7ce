"""A small part of what ``python -m tests.soak`` does."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tests.soak.__main__ import run


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_server_gives_everything_back_while_a_stranger_fails(
    tmp_path: Path, tls: bool, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if tls:
        request.getfixturevalue("certificate")  # or this machine cannot make one
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # to be put back
    assert run(tmp_path, argparse.Namespace(tests=40, sessions=8, strangers=20.0, tls=tls)) == 0
