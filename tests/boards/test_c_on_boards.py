"""Kernels in C on emulated boards, by compilers and for processors that the other tests do not have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import c_kernel
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.remote import Session
from pytest_xdevice.toolchain import parts
from pytest_xdevice.toolchain.c_compiler import Gcc
from pytest_xdevice.toolchain.find_c_compilers import find_c_compilers
from tests.boards.board import Board
from tests.conftest import MakeBoard
from tests.harness.requirement import unavailable

pytestmark = pytest.mark.board

EXAMPLES = Path(__file__).parents[2] / "examples"
SOFTMAX = """
#include <math.h>
#include <stdint.h>
#ifdef __ARM_NEON
#include <arm_neon.h>
static float sum(int n, const float *x)
{
    float32x4_t four = vdupq_n_f32(0);
    for (int i = 0; i + 4 <= n; i += 4)
        four = vaddq_f32(four, vld1q_f32(x + i));
    float kept[4];
    vst1q_f32(kept, four);
    return kept[0] + kept[1] + kept[2] + kept[3];
}
#endif
static int64_t softmax(int n, const float *x, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] = expf(x[i]);
    float whole = sum(n, y);
    for (int i = 0; i < n; i++)
        y[i] /= whole;
    return INT64_C(1000000000001) / n;
}
"""


@pytest.fixture(scope="module", params=[("board_arm64", "aarch64-linux-gnu"), ("board_armhf", "arm-linux-gnueabihf")])
def cross(request: pytest.FixtureRequest) -> tuple[Board, Gcc]:
    """Return each board of Arm with the cross gcc for it."""
    fixture, machine = request.param
    found = [each for each in find_c_compilers() if isinstance(each, Gcc) and each.machine == machine]
    if not found:
        unavailable(request.config, f"no {machine}-gcc: install Debian's gcc-{machine}")
    return request.getfixturevalue(fixture), found[0]


@pytest.fixture
def session(cross: tuple[Board, Gcc], monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Return a session on a board for which nothing but the cross gcc compiles."""
    board, compiler = cross
    monkeypatch.setattr(parts, "find_c_compilers", lambda: (compiler,))
    opened = Session.open(DeviceConfig("board", board.ssh_spec))
    yield opened
    opened.close()


def test_a_cross_gcc_serves_a_board(session: Session) -> None:
    device = session.device("cpu")
    x = np.linspace(-1, 1, 64, dtype=np.float32)
    softmax = c_kernel(SOFTMAX, "int64_t softmax(int n, const float *x, float *y)")
    y, quotient = device.run(softmax, 64, x, np.zeros_like(x))
    np.testing.assert_allclose(y, np.exp(x) / np.exp(x).sum(), rtol=1e-5)
    assert quotient == 1000000000001 // 64
    function = device.compile(softmax)
    assert "linux-gnu" in function.artifact.inputs["commands.txt"].decode().split("gcc")[0]
    assert function.artifact.llvm_ir == ""


def test_vectors_of_riscv(make_board: MakeBoard) -> None:
    board = make_board("riscv64", cpu="rv64,v=true")
    session = Session.open(DeviceConfig("board", board.ssh_spec))
    try:
        device = session.device("cpu")
        x = np.arange(1003, dtype=np.float32)
        saxpy = c_kernel(EXAMPLES / "saxpy.c", "void saxpy(size_t n, float a, const float *x, float *restrict y)")
        np.testing.assert_array_equal(device.run(saxpy, x.size, 2.0, x, np.ones_like(x)), 2 * x + 1)
        assert device.run(c_kernel(EXAMPLES / "saxpy.c", "int lanes(void)")) == 0  # as many as the processor says
        assert "vfm" in device.compile(saxpy).artifact.assembly
    finally:
        session.close()
