"""What the transports' tests share: a hidden network, and where they look for what is left."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.compile import use_cache
from pytest_xdevice.target import Target
from tests.harness import hidden as hidden_networks
from tests.harness import sshd as ssh_server
from tests.harness.hidden import Hidden
from tests.harness.hidden import hidden_network
from tests.harness.requirement import unavailable

n = dim("n")


@kernel
def clear(a: Out[f32, n]) -> None:
    for i in parallel(n):
        a[i] = 0.0


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have the compiler's process, which outlives sessions, started before a test looks for what is left."""
    with use_cache(tmp_path_factory.mktemp("cache")) as compiler:
        compiler.build(clear, Target.host())
        yield
        compiler.close()


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have the host's temporary files, and the processes that it starts, where they can be told from others'.

    The path is shorter than `tmp_path`, so that sockets fit there.
    """
    with tempfile.TemporaryDirectory(prefix="t") as path:
        monkeypatch.setenv("TMPDIR", path)
        monkeypatch.setattr("tempfile.tempdir", None)
        yield Path(path)


@pytest.fixture(scope="module")
def hidden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hidden]:
    """Return a network that only a gateway leads to."""
    reason = ssh_server.obstacle() or hidden_networks.obstacle()
    if reason:
        unavailable(request.config, reason)
    with hidden_network(tmp_path_factory.mktemp("hidden")) as network:
        yield network
