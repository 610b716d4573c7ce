"""The threads inside a library: where their functions come from, when they end, and what happens without them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_xdevice import ArgumentError
from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.artifact import Artifact
from pytest_xdevice.compile import Compiler
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain import elf
from tests.toolchain.text_kernel import TextKernel

m, n = dim("m"), dim("n")
NEEDS = [
    ("x86_64-unknown-linux-gnu", (2, 28), "libpthread.so.0", "GLIBC_2.2.5"),
    ("x86_64-unknown-linux-gnu", (2, 33), "libpthread.so.0", "GLIBC_2.2.5"),
    ("x86_64-unknown-linux-gnu", (2, 34), "libc.so.6", "GLIBC_2.34"),
    ("aarch64-unknown-linux-gnu", (2, 31), "libpthread.so.0", "GLIBC_2.17"),
    ("aarch64-unknown-linux-gnu", (2, 36), "libc.so.6", "GLIBC_2.34"),
    ("armv7l-unknown-linux-gnueabihf", None, "libpthread.so.0", "GLIBC_2.4"),
    ("riscv64-unknown-linux-gnu", None, "libpthread.so.0", "GLIBC_2.27"),
    ("x86_64-unknown-linux-musl", None, "libc.musl-x86_64.so.1", ""),
    ("aarch64-unknown-linux-android", None, "libc.so", ""),
]
# Loads a library, and has a launch and the number of this process's threads.
PROGRAM = """
import _ctypes, ctypes, os, resource, sys, time
library = ctypes.CDLL(sys.argv[1])
size = ctypes.c_int64(100_000)
values = (ctypes.c_float * size.value)()
arguments = (ctypes.c_void_p * 2)(ctypes.addressof(values), ctypes.addressof(size))
launches = 0

def launch():
    global launches
    library.xd_add_one(arguments)
    launches += 1
    assert all(value == launches for value in values)

def threads():
    return len(os.listdir("/proc/self/task"))

"""


@kernel
def add_one(a: InOut[f32, n]) -> None:
    for i in parallel(n):
        a[i] += 1.0


@pytest.mark.parametrize(("triple", "glibc", "library", "version"), NEEDS)
def test_threads_come_from_the_device_s_c_library(
    compiler: Compiler, triple: str, glibc: tuple[int, int] | None, library: str, version: str
) -> None:
    built = elf.ElfFile(compiler.build(add_one, replace(Target.parse(triple), glibc=glibc), threads=2).object)
    assert library in built.needed
    versions = {symbol.name: symbol.version for symbol in built.symbols if not symbol.defined}
    assert (versions["pthread_create"], versions["pthread_join"]) == (version, version)


def test_one_thread_needs_no_others(compiler: Compiler) -> None:
    plain = compiler.build(add_one, "x86_64-linux-gnu")
    assert compiler.build(add_one, "x86_64-linux-gnu", threads=1) is plain
    assert "libpthread.so.0" not in elf.ElfFile(plain.object).needed


def test_the_number_of_threads_is_part_of_the_key_and_of_a_saved_library(compiler: Compiler, tmp_path: Path) -> None:
    built = [compiler.build(add_one, threads=threads) for threads in (1, 2, 3)]
    assert len({artifact.key for artifact in built}) == 3
    paths = [artifact.save(tmp_path / f"{artifact.threads}.so") for artifact in built]
    assert [Artifact.load(path).threads for path in paths] == [1, 2, 3]
    assert Compiler(compiler.cache_directory).build(add_one, threads=3).threads == 3


def test_only_python_kernels_can_be_shared_out(compiler: Compiler) -> None:
    with pytest.raises(ArgumentError, match="scale has no parallel loops that could be shared out"):
        compiler.build(TextKernel(), "x86_64-linux-gnu", threads=2)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(
            "launch(); assert threads() == 4; _ctypes.dlclose(library._handle); assert threads() == 1", id="unloaded"
        ),
        pytest.param("launch(); sys.exit()", id="exit"),
        pytest.param("launch(); os._exit(0)", id="exit at once"),
        pytest.param(
            "launch(); pid = os.fork(); launch()\nif pid == 0: sys.exit()\n"
            "assert os.waitpid(pid, 0)[1] == 0; launch()",
            id="fork",
        ),
        pytest.param(
            "launch(); end = time.monotonic() + 30\nwhile threads() > 1:\n    assert time.monotonic() < end\n"
            "launch(); assert threads() == 4",
            id="idle threads leave and come back",
        ),
        pytest.param(
            "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
            "resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 20), used + (2 << 20)))\n"
            "launch(); assert threads() == 1; launch()",
            id="no room for stacks",
        ),
    ],
)  # fmt: skip
def test_threads_of_a_process(compiler: Compiler, tmp_path: Path, steps: str) -> None:
    path = compiler.build(add_one, threads=4).save(tmp_path / "add_one.so")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + steps, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


ROWS = """
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1])

def threads_after(rows, columns):
    sizes = [ctypes.c_int64(rows), ctypes.c_int64(columns)]
    values, sums = (ctypes.c_float * (rows * columns))(*[1.0] * (rows * columns)), (ctypes.c_float * rows)()
    library.xd_row_sums((ctypes.c_void_p * 4)(*map(ctypes.addressof, (values, sums, *sizes))))
    assert list(sums) == [columns] * rows
    return len(os.listdir("/proc/self/task"))

assert threads_after(4, 100) == 1
assert threads_after(4, 50_000) == 4
"""


@kernel
def row_sums(a: In[f32, m, n], b: Out[f32, m]) -> None:
    for y in parallel(m):
        b[y] = 0.0
        for x in range(n):
            b[y] = b[y] + a[y, x]


def test_few_iterations_are_shared_out_when_they_are_long(compiler: Compiler, tmp_path: Path) -> None:
    path = compiler.build(row_sums, threads=4).save(tmp_path / "row_sums.so")
    done = subprocess.run([sys.executable, "-c", ROWS, path], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
