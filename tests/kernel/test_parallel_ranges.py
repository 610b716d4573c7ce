"""`parallel` over ranges: every iteration runs once, in the interpreter, in LLVM and in OpenCL."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import parallel
from pytest_xdevice.kernel import Kernel
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain.llvm import CompilerProcess

from .ways import Run

n, m = dim("n"), dim("m")
EVERY_OTHER = 2


@kernel
def inner(hits: InOut[i64, n]):
    for i in parallel(range(1, n - 1)):
        hits[i] += i


@kernel
def stepped(hits: InOut[i64, n]):
    for i in parallel(range(2, n, 3), block=4):
        hits[i] += i


@kernel
def backwards(hits: InOut[i64, n]):
    for i in parallel(range(n - 1, -1, -1)):
        hits[i] += i


@kernel
def backwards_by_two(hits: InOut[i64, n]):
    for i in parallel(range(n - 1, 0, -EVERY_OTHER), block=3):
        hits[i] += i


@kernel
def all_of_it(hits: InOut[i64, n]):
    for i in parallel(range(n)):
        hits[i] += i


RANGES = {
    inner: lambda n: range(1, n - 1),
    stepped: lambda n: range(2, n, 3),
    backwards: lambda n: range(n - 1, -1, -1),
    backwards_by_two: lambda n: range(n - 1, 0, -2),
    all_of_it: range,
}


@pytest.mark.parametrize("source", RANGES, ids=lambda source: source.name)
def test_a_range_is_that_of_python(source: Kernel, run: Run) -> None:
    for size in (0, 1, 2, 3, 8, 19):
        hits = np.zeros(size, np.int64)
        run(source, hits)
        expected = np.zeros(size, np.int64)
        for i in RANGES[source](size):
            expected[i] += i
        np.testing.assert_array_equal(hits, expected)


@kernel
def between(hits: InOut[i64, n], low: i32, high: i64):
    for i in parallel(range(max(low, 0), min(high, n)), block=4):
        if i != 3:
            hits[i] += 1


def test_bounds_may_be_parameters(run: Run) -> None:
    for low, high in ((0, 9), (-4, 5), (3, 3), (7, 2), (2, 100), (-(1 << 31), (1 << 63) - 1), (5, -(1 << 63))):
        hits = np.zeros(9, np.int64)
        run(between, hits, low, high)
        expected = np.zeros(9, np.int64)
        expected[[i for i in range(max(low, 0), min(high, 9)) if i != 3]] = 1
        np.testing.assert_array_equal(hits, expected)


@kernel
def checkered(a: InOut[i64, m, n]):
    for y, x in parallel(range(1, m - 1), range(n - 1, -1, -2), block=(2, 8)):
        a[y, x] += 10 * y + x


def test_each_axis_has_its_own_range(run: Run) -> None:
    for shape in ((0, 4), (4, 0), (2, 7), (3, 1), (5, 8), (9, 17)):
        got = np.zeros(shape, np.int64)
        run(checkered, got)
        expected = np.zeros(shape, np.int64)
        rows, columns = np.indices(shape)
        expected[1:-1, ::-2] = (10 * rows + columns)[1:-1, ::-2]
        np.testing.assert_array_equal(got, expected)


@kernel
def ranged(a: In[f32, n], b: InOut[f32, n]):
    for i in parallel(range(1, n - 1)):
        b[i] = a[i - 1] + a[i] + a[i + 1]


@kernel
def guarded(a: In[f32, n], b: InOut[f32, n]):
    for i in parallel(n):
        if 0 < i < n - 1:
            b[i] = a[i - 1] + a[i] + a[i + 1]


@kernel
def from_the_end(a: In[f32, n], b: InOut[f32, n]):
    for i in parallel(range(n - 1, -1, -1)):
        b[i] = a[i] * 2


@pytest.fixture(scope="module")
def compiler() -> Iterator[CompilerProcess]:
    process = CompilerProcess()
    yield process
    process.close()


@pytest.mark.parametrize(
    ("text", "operation"),
    [("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3", r"vaddps.*%ymm"), ("aarch64-linux-gnu", r"fadd\tv\d+\.4s")],
    ids=["x86-64-v3", "aarch64"],
)
def test_a_stencil_over_a_range_vectorises_as_its_guarded_spelling(
    text: str, operation: str, compiler: CompilerProcess
) -> None:
    target = Target.parse(text)
    counts = []
    for source in (ranged, guarded):
        compiled = compiler.compile(source.llvm_ir(target), target.machine)
        counts.append(len(re.findall(operation, compiler.assemble(compiled.llvm_ir, target.machine))))
    assert counts[0] == counts[1] > 0


def test_a_loop_from_the_end_vectorises(compiler: CompilerProcess) -> None:
    target = Target.parse("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3")
    compiled = compiler.compile(from_the_end.llvm_ir(target), target.machine)
    assert re.search(r"v(add|mul)ps.*%ymm", compiler.assemble(compiled.llvm_ir, target.machine))
