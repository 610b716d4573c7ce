"""Atomic operations give the same in the interpreter, in LLVM and in OpenCL, and need no library on any board."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import atomic_add
from pytest_xdevice import atomic_cas
from pytest_xdevice import atomic_max
from pytest_xdevice import atomic_min
from pytest_xdevice import barrier
from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import shared
from pytest_xdevice import u8
from pytest_xdevice import u32
from pytest_xdevice import u64
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain.elf import ElfFile
from pytest_xdevice.toolchain.libraries import needed_by
from pytest_xdevice.toolchain.llvm import CompilerProcess

from .ways import Run

n, m = dim("n"), dim("m")
ELEMENTS = [i32, u32, i64, u64, f32, f64]
BY_TYPE = pytest.mark.parametrize("element", ELEMENTS, ids=repr)


@BY_TYPE
def test_totals_do_not_depend_on_the_order(run: Run, element: Any) -> None:
    @kernel
    def totals(a: In[element, n], sums: InOut[element, 4], least: InOut[element, 4], most: InOut[element, 4]):
        for i in parallel(n):
            atomic_add(sums[i % 4], a[i])
            atomic_min(least[i % 4], a[i])
            atomic_max(most[i % 4], a[i])

    values = np.random.default_rng(0).integers(0, 1000, 777).astype(element.dtype)
    if element.name[0] != "u":
        values -= element.dtype.type(500)
    sums, least, most = np.zeros(4, element.dtype), np.full(4, 900, element.dtype), np.zeros(4, element.dtype)
    run(totals, values, sums, least, most)
    for k in range(4):
        assert sums[k] == values[k::4].sum(dtype=element.dtype)
        assert least[k] == values[k::4].min()
        assert most[k] == max(values[k::4].max(), 0)


@BY_TYPE
def test_each_gives_what_was_there_before(run: Run, element: Any) -> None:
    @kernel
    def takes(a: InOut[element, 6], old: Out[element, 8]):
        first = atomic_add(a[0], 3)
        old[0] = first
        old[1] = atomic_add(a[0], 4)
        old[2] = atomic_min(a[1], 5)
        old[3] = atomic_max(a[2], 5)
        old[4] = atomic_cas(a[3], 7, 9)
        old[5] = atomic_cas(a[4], 1, 9)
        old[6] = atomic_min(a[5], 100)
        old[7] = atomic_max(a[5], 0)

    values, old = np.full(6, 7, element.dtype), np.zeros(8, element.dtype)
    run(takes, values, old)
    np.testing.assert_array_equal(values, [14, 5, 7, 9, 7, 7])
    np.testing.assert_array_equal(old, [7, 10, 7, 7, 7, 7, 7, 7])


def test_floats_compare_as_min_and_max_do_and_swap_by_their_bits(run: Run) -> None:
    nan = float("nan")

    @kernel
    def special(a: InOut[f32, 6], old: Out[f32, 6]):
        old[0] = atomic_min(a[0], 1.0)
        old[1] = atomic_max(a[1], nan)
        old[2] = atomic_min(a[2], -0.0)
        old[3] = atomic_max(a[3], 0.0)
        old[4] = atomic_cas(a[4], 0.0, 1.0)
        old[5] = atomic_cas(a[5], nan, 1.0)

    values, old = np.float32([nan, 2, 0, -0.0, -0.0, nan]), np.zeros(6, np.float32)
    before = values.copy()
    run(special, values, old)
    np.testing.assert_array_equal(old, before)
    np.testing.assert_array_equal(values, np.float32([nan, nan, -0.0, 0, -0.0, 1]))
    np.testing.assert_array_equal(np.signbit(values[2:5]), [True, False, True])


@kernel
def places(a: In[i32, n], count: InOut[i32, 1], kept: InOut[i32, n]):
    for i in parallel(n, block=16):
        if a[i] % 3 == 0:
            at = atomic_add(count[0], 1)
            kept[at] = a[i]


def test_the_old_values_are_all_different(run: Run) -> None:
    values = np.arange(300, dtype=np.int32)
    count, kept = np.zeros(1, np.int32), np.zeros(300, np.int32)
    run(places, values, count, kept)
    assert count[0] == 100
    np.testing.assert_array_equal(np.sort(kept[:100]), np.arange(0, 300, 3))


@kernel
def histogram(a: In[u8, n], counts: InOut[u32, 256]):
    for i in parallel((n + 63) // 64 * 64, block=64):
        bins = shared(u32, 256)
        for k in range(i % 64, 256, 64):
            bins[k] = 0
        barrier()
        if i < n:
            atomic_add(bins[a[i]], 1)
        barrier()
        for k in range(i % 64, 256, 64):
            atomic_add(counts[k], bins[k])


@pytest.mark.parametrize("size", [1, 64, 1000])
def test_shared_memory_has_them_too(run: Run, size: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    counts = np.zeros(256, np.uint32)
    run(histogram, values, counts)
    np.testing.assert_array_equal(counts, np.bincount(values, minlength=256))


def bump(counts, at: i64):
    old = atomic_add(counts[at], 1)
    return old // 1


@kernel
def by_helper(a: In[i64, n], counts: InOut[i64, 4], lasts: InOut[i64, 4]):
    for i in parallel(n):
        bump(counts, a[i] % 4)
        if bump(counts, a[i] % 4) == 39:
            atomic_add(lasts[a[i] % 4], 1)


def test_in_helper_functions(run: Run) -> None:
    counts, lasts = np.zeros(4, np.int64), np.zeros(4, np.int64)
    run(by_helper, np.arange(80), counts, lasts)
    np.testing.assert_array_equal(counts, [40, 40, 40, 40])
    np.testing.assert_array_equal(lasts, [1, 1, 1, 1])  # whatever the order, the last one is a second one


@kernel
def largest_in_rows(a: In[f32, m, n], most: InOut[f32, m, 2]):
    for y, x in parallel(m, n):
        atomic_max(most[y, x % 2], a[y, x])


def test_in_two_dimensions(run: Run) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (9, 40)).astype(np.float32)
    most = np.full((9, 2), -np.inf, np.float32)
    run(largest_in_rows, values, most)
    np.testing.assert_array_equal(most, np.stack([values[:, ::2].max(1), values[:, 1::2].max(1)], 1))


@pytest.fixture(scope="module")
def compiler() -> Iterator[CompilerProcess]:
    process = CompilerProcess()
    yield process
    process.close()


@BY_TYPE
@pytest.mark.parametrize(
    "text", ["x86_64-linux-gnu", "aarch64-linux-gnu", "armv7l-linux-gnueabihf", "riscv64-linux-gnu"]
)
def test_objects_call_no_library_for_them(element: Any, text: str, compiler: CompilerProcess) -> None:
    @kernel
    def every(a: InOut[element, 4], old: Out[element, 4]):
        old[0] = atomic_add(a[0], 1)
        old[1] = atomic_min(a[1], 1)
        old[2] = atomic_max(a[2], 1)
        old[3] = atomic_cas(a[3], 1, 2)

    target = Target.parse(text)
    undefined = ElfFile(compiler.compile(every.llvm_ir(target), target.machine).object).undefined
    assert not [name for name in undefined if "atomic" in name or "sync" in name]
    assert needed_by(undefined, target)[1] == ()


def test_a_loop_with_one_says_nothing_of_the_order_of_its_iterations() -> None:
    target = Target.parse("x86_64-linux-gnu")
    assert "parallel_accesses" not in places.llvm_ir(target)
    assert "access.group" not in places.llvm_ir(target)


@pytest.mark.parametrize("operation", [atomic_add, atomic_min, atomic_max, lambda a, b: atomic_cas(a, b, b)])
def test_they_have_a_meaning_only_in_a_kernel(operation: Callable[[int, int], object]) -> None:
    with pytest.raises(TypeError, match="inside a @kernel"):
        operation(1, 2)
