"""A device whose memory runs out while a kernel runs: its kernel ends the worker, which the test is told."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from pytest_xdevice import DeviceError
from pytest_xdevice import KernelCrash
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.remote import Session
from tests.faults.kernels import add_one
from tests.harness import control_group
from tests.harness.control_group import ControlGroup
from tests.harness.requirement import unavailable
from tests.toolchain.text_kernel import TextKernel

LIMIT = 64 << 20
HOG = """
declare ptr @malloc(i64)
declare ptr @memset(ptr, i32, i64)
define i64 @xd_hog(ptr %args) {
  %kept = alloca ptr
  br label %more
more:
  %piece = call ptr @malloc(i64 1048576)
  store volatile ptr %piece, ptr %kept
  call ptr @memset(ptr %piece, i32 1, i64 1048576)
  br label %more
}"""


@pytest.fixture
def group(request: pytest.FixtureRequest) -> Iterator[ControlGroup]:
    reason = control_group.obstacle()
    if reason:
        unavailable(request.config, reason)
    with control_group.limited(LIMIT) as limited:
        yield limited


@pytest.fixture
def session(group: ControlGroup) -> Iterator[Session]:
    address = "exec:" + shlex.join([*group.enter, sys.executable])
    session = Session.open(DeviceConfig("board", address), Settings(timeout=60.0))
    yield session
    session.close()


def check(session: Session) -> None:
    np.testing.assert_array_equal(session.device("cpu").run(add_one, np.zeros(5, np.float32)), np.ones(5))


def test_a_kernel_that_takes_too_much(session: Session, group: ControlGroup) -> None:
    check(session)
    with pytest.raises(KernelCrash) as caught:
        session.device("cpu").run(TextKernel(HOG, Signature("hog", ())))
    assert (caught.value.kernel, caught.value.signal) == ("hog", "SIGKILL")
    assert str(caught.value) == (
        "hog crashed with SIGKILL on board cpu: signal 9, from the device's kernel, which had run out of memory, "
        "of which its control group may have 64 MiB"
    )
    check(session)  # by the same session, which was spared


def test_arrays_that_take_too_much(session: Session) -> None:
    with pytest.raises(DeviceError, match=r"ended by SIGKILL: .* out of memory, .* 64 MiB"):
        session.device("cpu").array(np.ones(4 * LIMIT, np.uint8))
    check(session)
