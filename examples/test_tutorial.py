"""Cross compilation and remote execution, step by step.

This follows TVM's tutorial "Cross Compilation and RPC" in its order: where that tutorial builds a runtime on the
board, starts an RPC server there, cross-compiles, uploads, runs and times, this one does the same with plain pytest.

Run it on this machine, with nothing set up::

    pytest examples/test_tutorial.py

and on a board, which needs Python 3.8 and nothing else::

    xdevice bundle xdevice-runtime.pyz && scp xdevice-runtime.pyz board:      # once
    python3 xdevice-runtime.pyz --host 0.0.0.0 --port 9090                    # on the board; prints a token
    XDEVICE_TOKEN=... pytest examples/test_tutorial.py --xdevice=10.77.1.162:9090
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.compile import build
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Device
from pytest_xdevice.remote import Session

# --- Step 1: a runtime on the device ------------------------------------------------------------------------
# TVM is built on the board first. Here there is nothing to build: the device needs a Python, and the plugin
# brings the rest along each time it connects, so that host and device never differ in version.


# --- Step 2: a server on the device -------------------------------------------------------------------------
# On a board you would type `python3 xdevice-runtime.pyz --host 0.0.0.0 --port 9090` and copy the token that it
# prints. This fixture does that here, on loopback, for the tests below that want to see it work.
# (With ssh there is no server at all: `pytest --xdevice=ssh://pi@raspberrypi`.)
@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    token_file = tmp_path_factory.mktemp("server") / "token"
    command = [sys.executable, "-m", "pytest_xdevice.runtime", "--port", "0", "--token-file", str(token_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        first_line = process.stdout.readline()  # "bind to 127.0.0.1:41873"
        yield first_line.removeprefix("bind to ").strip(), token_file
        process.terminate()


def test_a_session_with_a_server(server: tuple[str, Path]) -> None:
    address, token_file = server
    session = Session.open(DeviceConfig("board", address), Settings(token_file=token_file))
    try:
        b = session.device("cpu").run(add_one, np.zeros(4, np.float32))
    finally:
        session.close()
    np.testing.assert_array_equal(b, np.ones(4))


# --- Step 3: declare a kernel, and cross-compile it ---------------------------------------------------------
# In TVM: `B = te.compute((n,), lambda i: A[i] + 1.0)`. A kernel here is a typed Python function. `In` arrays are
# read, `Out` arrays are written; `n` is bound at launch from the arrays' shapes.
n = dim("n")


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i] + 1.0


# A kernel is still a Python function: interpreted with NumPy's scalars, it says what every device must give.
def test_the_kernel_is_python() -> None:
    b = np.empty(3, np.float32)
    add_one.python(np.float32([1, 2, 3]), b)
    np.testing.assert_array_equal(b, [2, 3, 4])


# For a Raspberry Pi 3 with its 32-bit system TVM says `llvm -mtriple=armv7l-linux-gnueabihf`; so can you. No board is
# needed for that: what comes out is a shared library for it, which `save` writes, like TVM's `export_library`.
def test_cross_compile_for_a_raspberry_pi_3(tmp_path: Path) -> None:
    artifact = build(add_one, "llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a53 -mattr=+neon")
    artifact.save(tmp_path / "add_one.so")
    assert (tmp_path / "add_one.so").read_bytes()[:4] == b"\x7fELF"
    assert "xd_add_one" in artifact.assembly


# An RK3399 board runs 64-bit Arm; a bare triple does as well as TVM's spelling.
def test_cross_compile_for_an_rk3399() -> None:
    artifact = build(add_one, "aarch64-linux-gnu")
    assert "aarch64-unknown-linux-gnu" in artifact.target
    assert "define" in artifact.llvm_ir


# --- Step 4: run the kernel on the device's CPU -------------------------------------------------------------
# In TVM: `remote = rpc.connect(host, port)` or `rpc.LocalSession()`. Here the device comes from the command line
# (`--xdevice`, by default "local": this machine) and into the test as the `xdevice` fixture.
@pytest.mark.cpu
def test_run_on_the_device(xdevice: Device) -> None:
    a = np.random.default_rng(0).uniform(size=1024).astype(np.float32)
    b = xdevice.run(add_one, a)  # compiled for the device, sent, run and brought back: one network round trip
    np.testing.assert_array_equal(b, a + 1)


# The long way, as in TVM's tutorial: save, upload, load_module, arrays on the device, call, compare.
@pytest.mark.cpu
def test_upload_load_and_run(xdevice: Device, tmp_path: Path) -> None:
    path = tmp_path / "add_one.so"
    xdevice.compile(add_one).artifact.save(path)
    xdevice.upload(path)
    assert xdevice.listdir() == ["add_one.so"]

    function = xdevice.load(path)
    a = xdevice.array(np.random.default_rng(0).uniform(size=1024).astype(np.float32))
    b = xdevice.empty(1024, np.float32)
    function(a, b)
    np.testing.assert_array_equal(b.numpy(), a.numpy() + 1)
    xdevice.remove("add_one.so")


# --- Step 5: time it ----------------------------------------------------------------------------------------
# In TVM: `time_f = func.time_evaluator(func.entry_name, dev, number=10)`. The clock runs on the device, in native
# code: there is no network and no Python in the figure.
@pytest.mark.cpu
def test_time_on_the_device(xdevice: Device) -> None:
    function = xdevice.compile(add_one)
    a = xdevice.array(np.ones(1024, np.float32))
    b = xdevice.empty(1024, np.float32)
    timing = function.time(a, b, number=10, repeat=5)
    print(f"{timing.mean:g} secs/op")
    assert 0 < timing.min <= timing.median <= timing.max


# --- Step 6: run it on the device's OpenCL device -----------------------------------------------------------
# In TVM the loop is split by 32 and its halves are bound to blockIdx and threadIdx; here the block's size stands with
# the loop. 32 need not divide n.
@kernel
def add_one_by_32(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n, block=32):
        b[i] = a[i] + 1.0


@pytest.mark.opencl
def test_run_on_opencl(xdevice: Device) -> None:
    a = np.random.default_rng(0).uniform(size=1000).astype(np.float32)
    function = xdevice.compile(add_one_by_32)  # the program is built on the device, by its own driver
    device_a, device_b = xdevice.array(a), xdevice.empty(1000, np.float32)
    function(device_a, device_b)
    np.testing.assert_array_equal(device_b.numpy(), a + 1)

    timing = function.time(device_a, device_b, number=10, repeat=5)  # by the OpenCL device's own profiling events
    print(f"OpenCL: {timing.mean:g} secs/op")


# --- Summary ------------------------------------------------------------------------------------------------
# One test for both: marked twice, it runs twice, as [cpu] and as [opencl].
@pytest.mark.cpu
@pytest.mark.opencl
def test_everywhere(xdevice: Device) -> None:
    a = np.random.default_rng(0).uniform(size=1024).astype(np.float32)
    xdevice.assert_close(xdevice.run(add_one_by_32, a), a + 1)
