"""Shared memory and barriers mean the same in the interpreter, in LLVM and in OpenCL, whatever the sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import barrier
from pytest_xdevice import bool_
from pytest_xdevice import dim
from pytest_xdevice import f16
from pytest_xdevice import f32
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import private
from pytest_xdevice import shared
from pytest_xdevice.errors import ArgumentError
from pytest_xdevice.kernel import Kernel
from pytest_xdevice.kernel.launch_shape import LaunchShape
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain.elf import ElfFile
from pytest_xdevice.toolchain.libraries import needed_by
from pytest_xdevice.toolchain.llvm import CompilerProcess

from .ways import agree
from .ways import Run

n, m, p, g = dim("n"), dim("m"), dim("p"), dim("g")
BLOCK = 16
SIZES = [0, 1, 7, 15, 16, 17, 64, 100]


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    """Return whole numbers, whose sums are exact in any order."""
    return np.random.default_rng(sum(shape)).integers(-9, 10, shape).astype(np.float32)


@kernel
def group_sums(a: In[f32, n], sums: Out[f32, g]):
    for i in parallel(n, block=BLOCK):
        tile = shared(f32, BLOCK)
        item = i % BLOCK
        tile[item] = a[i]
        if i == n - 1:
            for k in range(item + 1, BLOCK):
                tile[k] = 0
        step = BLOCK // 2
        while step > 0:
            barrier()
            if item < step:
                tile[item] += tile[item + step]
            step //= 2
        if item == 0:
            sums[i // BLOCK] = tile[0]


@pytest.mark.parametrize("size", SIZES)
def test_tree_reduction(run: Run, size: int) -> None:
    values = numbers(size)
    sums = np.zeros(-(-size // BLOCK), np.float32)
    run(group_sums, values, sums)
    np.testing.assert_array_equal(sums, [values[at : at + BLOCK].sum() for at in range(0, size, BLOCK)])


@kernel
def scan(a: In[i32, n], b: Out[i32, n]):
    for i in parallel(n, block=BLOCK):
        held = shared(i32, 2, BLOCK)
        item = i % BLOCK
        held[0, item] = a[i]
        now = 0
        distance = 1
        while distance < BLOCK:
            barrier()
            value = held[now, item]
            if item >= distance:
                value += held[now, item - distance]
            now = 1 - now
            held[now, item] = value
            distance *= 2
        b[i] = held[now, item]


@pytest.mark.parametrize("size", SIZES)
def test_prefix_sums_in_a_block(run: Run, size: int) -> None:
    values = np.arange(size, dtype=np.int32) ** 2
    got = np.zeros(size, np.int32)
    run(scan, values, got)
    expected = [values[at : at + BLOCK].cumsum() for at in range(0, size, BLOCK)]
    np.testing.assert_array_equal(got, np.concatenate(expected) if size else [])


@kernel
def matmul(a: In[f32, m, p], b: In[f32, p, n], c: Out[f32, m, n]):
    for y, x in parallel((m + 7) // 8 * 8, (n + 7) // 8 * 8, block=(8, 8)):
        left = shared(f32, 8, 8)
        right = shared(f32, 8, 8)
        row, column = y % 8, x % 8
        total = f32(0)
        for tile in range((p + 7) // 8):
            k = 8 * tile
            left[row, column] = a[y, k + column] if y < m and k + column < p else f32(0)
            right[row, column] = b[k + row, x] if k + row < p and x < n else f32(0)
            barrier()
            for inner in range(8):
                total += left[row, inner] * right[inner, column]
            barrier()
        if y < m and x < n:
            c[y, x] = total


@pytest.mark.parametrize("shape", [(8, 8, 8), (16, 24, 8), (1, 1, 1), (5, 3, 7), (9, 17, 20), (20, 9, 17), (4, 0, 4)])
def test_tiled_matrix_product(run: Run, shape: tuple[int, int, int]) -> None:
    rows, inner, columns = shape
    a, b, c = numbers(rows, inner), numbers(inner, columns), np.zeros((rows, columns), np.float32)
    run(matmul, a, b, c)
    np.testing.assert_array_equal(c, a @ b)


@kernel
def transpose(a: In[f32, m, n], b: Out[f32, n, m]):
    for y, x in parallel((m + 15) // 16 * 16, (n + 15) // 16 * 16, block=(16, 16)):
        tile = shared(f32, 16, 17)
        row, column = y % 16, x % 16
        if y < m and x < n:
            tile[row, column] = a[y, x]
        barrier()
        if y - row + column < m and x - column + row < n:
            b[x - column + row, y - row + column] = tile[column, row]


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (32, 48), (5, 40), (17, 31)])
def test_transpose_through_a_tile(run: Run, shape: tuple[int, int]) -> None:
    a, b = numbers(*shape), np.zeros(shape[::-1], np.float32)
    run(transpose, a, b)
    np.testing.assert_array_equal(b, a.T)


@kernel
def smoothed(a: In[f32, n], b: InOut[f32, n]):
    for i in parallel(n, block=BLOCK):
        tile = shared(f32, BLOCK + 2)
        item = i % BLOCK
        tile[item + 1] = a[i]
        if item == 0:
            tile[0] = a[max(i - 1, 0)]
        if item == BLOCK - 1 or i == n - 1:
            tile[item + 2] = a[min(i + 1, n - 1)]
        barrier()
        if i == 0 or i == n - 1:
            continue
        b[i] = tile[item] + tile[item + 1] + tile[item + 2]


@pytest.mark.parametrize("size", SIZES)
def test_stencil_with_a_halo(run: Run, size: int) -> None:
    values = numbers(size)
    got = np.zeros(size, np.float32)
    run(smoothed, values, got)
    expected = np.zeros(size, np.float32)
    expected[1:-1] = values[:-2] + values[1:-1] + values[2:]
    np.testing.assert_array_equal(got, expected)


@kernel
def two_passes(a: In[f32, n], reversed_in_blocks: Out[f32, n], rotated: Out[f32, n], scale: f32):
    factor = scale * 2
    for i in parallel(n, block=4):
        tile = shared(f32, 4)
        tile[i % 4] = a[i] * factor
        barrier()
        last = min(i // 4 * 4 + 3, n - 1)
        reversed_in_blocks[i] = tile[(last - i) % 4]
    for i in parallel(n, block=8):
        tile = shared(f32, 8)
        tile[i % 8] = reversed_in_blocks[i]
        barrier()
        count = min(8, n - (i - i % 8))
        rotated[i] = tile[(i % 8 + 1) % count]


@pytest.mark.parametrize("size", [1, 4, 6, 8, 19])
def test_several_loops_have_memory_of_their_own(run: Run, size: int) -> None:
    values = numbers(size)
    backwards, rotated = np.zeros(size, np.float32), np.zeros(size, np.float32)
    run(two_passes, values, backwards, rotated, 1.5)
    blocks = [values[at : at + 4][::-1] * 3 for at in range(0, size, 4)]
    np.testing.assert_array_equal(backwards, np.concatenate(blocks))
    blocks = [np.roll(backwards[at : at + 8], -1) for at in range(0, size, 8)]
    np.testing.assert_array_equal(rotated, np.concatenate(blocks))


@kernel
def kept(a: In[i64, n], b: Out[i64, n, 3]):
    for i in parallel(n, block=BLOCK):
        tile = shared(i64, BLOCK)
        own = private(i64, 3)
        mark = a[i] > 3
        for k in range(3):
            tile[i % BLOCK] = a[i] + k
            own[k] += 100 * k
            barrier()
            if mark:
                own[k] += tile[0]
            else:
                fresh = private(i64, 2)
                fresh[1] += tile[0] + 1
                own[k] -= fresh[1] + fresh[0]
            barrier()
        j = -1
        for j in range(a[i] % 3):
            own[j] += 1000
        barrier()
        for k in range(3):
            b[i, k] = own[k] + 7 * j


@pytest.mark.parametrize("size", SIZES)
def test_what_an_item_keeps_over_a_barrier_is_its_own(run: Run, size: int) -> None:
    agree(run, kept, np.random.default_rng(0).integers(0, 8, size), np.zeros((size, 3), np.int64))


@kernel
def steered(a: In[i64, n], rounds: In[i64, g], b: Out[i64, n], mode: i32):
    for i in parallel(n, block=4):
        tile = shared(i64, 4)
        group = i // 4
        value = a[i]
        left = rounds[group]
        turn = 0
        while True:
            if left <= 0:
                break
            left -= 1
            turn = turn + 1 if mode > 0 else turn + 2
            if turn % 3 == 0:
                continue
            tile[i % 4] = value
            barrier()
            value += tile[(i + 1) % 4] if (i // 4) * 4 + 3 < n else 1
            if mode == 2:
                barrier()
                tile[i % 4] = value * 2
                barrier()
                value -= tile[i % 4] // 2 - i
            barrier()
        b[i] = value * 10 + turn


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("size", [1, 4, 6, 19])
def test_control_flow_that_a_group_goes_through_together(run: Run, size: int, mode: int) -> None:
    rounds = np.arange(-(-size // 4)) * 3 - 1
    agree(run, steered, np.arange(size), rounds, np.zeros(size, np.int64), mode)


@kernel
def by_memory(a: InOut[i64, n]):
    for i in parallel(n, block=8):
        before = a[i]
        first = i - i % 8
        barrier()
        a[first + (i + 3) % min(8, n - first)] = before + i


def test_a_barrier_orders_parameters_too(run: Run) -> None:
    for size in (8, 16, 40):
        agree(run, by_memory, np.arange(size) * 11)


@kernel
def over_a_range(a: In[i64, n], b: InOut[i64, n]):
    for i in parallel(range(3, n - 1), block=4):
        tile = shared(i64, 4)
        item = (i - 3) % 4
        tile[item] = a[i]
        barrier()
        b[i] = tile[0]
    for i in parallel(range(n - 1, 0, -2), block=4):
        tile = shared(i64, 4)
        tile[(n - 1 - i) // 2 % 4] = a[i]
        barrier()
        b[i] += 100 * tile[0]


def test_groups_of_a_range(run: Run) -> None:
    for size in (0, 3, 4, 5, 8, 9, 21):
        agree(run, over_a_range, np.arange(size) + 5, np.zeros(size, np.int64))


@kernel
def boxes(a: In[i64, m, n, p], b: Out[i64, m, n, p]):
    for x, y, z in parallel(m, n, p, block=(2, 3, 4)):
        tile = shared(i64, 2, 3, 4)
        tile[x % 2, y % 3, z % 4] = a[x, y, z]
        barrier()
        b[x, y, z] = tile[0, 0, 0] * 1000 + tile[x % 2, 0, 0] + a[x, y, z]


def test_three_dimensions(run: Run) -> None:
    for shape in ((2, 3, 4), (1, 1, 1), (4, 6, 8), (3, 5, 9), (0, 3, 4)):
        values = np.arange(np.prod(shape)).reshape(shape)
        agree(run, boxes, values, np.zeros(shape, np.int64))


@pytest.mark.parametrize("element", [bool_, i32, f16, f32], ids=repr)
def test_elements_of_every_kind(run: Run, element: Any) -> None:
    @kernel
    def rotated(a: In[element, n], b: Out[element, n]):
        for i in parallel(n, block=8):
            tile = shared(element, 8)
            value = a[i]
            tile[i % 8] = element(value)
            barrier()
            other = tile[(i % 8 + 1) % min(8, n - (i - i % 8))]
            barrier()
            b[i] = element(other if i % 2 == 0 else value)

    agree(run, rotated, np.arange(21).astype(element.dtype), np.zeros(21, element.dtype))


def turned(values, at: i64, by: i64) -> i64:
    return values[(at + by) % 8]


def leave(values, at: i64, value: i64) -> None:
    counts = private(i64, 2)
    counts[1] = value
    for k in range(3):
        if k == 1:
            continue
        values[at] += counts[k // 2]


@kernel
def with_helpers(a: In[i64, n], b: Out[i64, n]):
    for i in parallel((n + 7) // 8 * 8, block=8):
        tile = shared(i64, 8)
        own = private(i64, 2)
        tile[i % 8] = 0
        if i < n:
            leave(tile, i % 8, a[i])
            leave(own, 1, i)
        barrier()
        far = turned(tile, i % 8, own[1])
        barrier()
        if i < n:
            b[i] = far * 10 + turned(tile, i % 8, 1) + own[1]


def test_helper_functions_in_a_work_group(run: Run) -> None:
    for size in (1, 8, 21):
        agree(run, with_helpers, np.arange(size) + 5, np.zeros(size, np.int64))


def test_a_launch_does_not_change_groups_that_share_memory() -> None:
    with pytest.raises(ArgumentError, match=r"scan: block=32 changes the work-groups of the loop on line \d+, which"):
        scan.with_shape(LaunchShape.read(32, None))


@kernel
def without_a_barrier(a: In[i64, n], b: Out[i64, n]):
    for i in parallel(n, block=8):
        slots = shared(i64, 8)
        if a[i] < 0:
            continue
        slots[i % 8] = a[i]
        slots[i % 8] *= 2
        b[i] = slots[i % 8]


def test_shared_memory_without_a_barrier(run: Run) -> None:
    values = np.arange(21) - 4
    agree(run, without_a_barrier, values, np.zeros(21, np.int64))


def test_memory_that_nobody_wrote_shows_in_the_interpreter() -> None:
    @kernel
    def unwritten(b: Out[f32, n]):
        for i in parallel(n, block=8):
            tile = shared(f32, 8)
            b[i] = tile[i % 8]

    got = np.zeros(3, np.float32)
    unwritten.python(got)
    assert np.isnan(got).all()


@pytest.fixture(scope="module")
def compiler() -> Iterator[CompilerProcess]:
    process = CompilerProcess()
    yield process
    process.close()


@pytest.mark.parametrize("source", [group_sums, matmul, smoothed], ids=lambda source: source.name)
@pytest.mark.parametrize(
    ("text", "operation"),
    [
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3", r"v(add|mul|mov[au])ps.*%ymm"),
        ("aarch64-linux-gnu", r"v\d+\.4s|stp\tq"),
    ],
    ids=["x86-64-v3", "aarch64"],
)
def test_the_loops_over_items_vectorise(source: Kernel, text: str, operation: str, compiler: CompilerProcess) -> None:
    target = Target.parse(text)
    compiled = compiler.compile(source.llvm_ir(target), target.machine)
    assert re.search(operation, compiler.assemble(compiled.llvm_ir, target.machine))


@pytest.mark.parametrize("text", ["armv7l-linux-gnueabihf", "riscv64-linux-gnu"])
@pytest.mark.parametrize("source", [group_sums, matmul, kept], ids=lambda source: source.name)
def test_objects_for_boards_need_nothing_unknown(source: Kernel, text: str, compiler: CompilerProcess) -> None:
    target = Target.parse(text)
    compiled = compiler.compile(source.llvm_ir(target), target.machine)
    _, unknown = needed_by(ElfFile(compiled.object).undefined, target)
    assert unknown == ()


@pytest.mark.parametrize("call", [lambda: shared(f32, 8), barrier])
def test_they_have_a_meaning_only_in_a_kernel(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="inside a @kernel"):
        call()
