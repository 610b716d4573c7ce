"""A compiler with a cache of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_xdevice.compile import Compiler


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache directory for tests that do not look at it: stub libraries are made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def compiler(shared_cache: Path) -> Compiler:
    return Compiler(shared_cache)


@pytest.fixture
def fresh(tmp_path: Path) -> Compiler:
    """Return a compiler whose cache is empty."""
    return Compiler(tmp_path / "cache")
