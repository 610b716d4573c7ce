"""A GPU's work-item takes tiles of iterations whose elements lie side by side, and does what single iterations do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.codegen import kernels
from pytest_xdevice import bool_
from pytest_xdevice import dim
from pytest_xdevice import f16
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import u8
from pytest_xdevice import u16
from pytest_xdevice import u32
from pytest_xdevice.kernel.kernel import Kernel

from . import cl_program

m, n, q = dim("m"), dim("n"), dim("q")
SIZES = ((1, 2), (2, 3), (3, 5), (4, 4), (5, 8), (16, 67), (33, 9), (17, 260))


@kernel
def far_neighbours(a: In[f32, n], b: InOut[f32, n]):
    for i in parallel(n):
        if i >= 3 and i < n - 2:
            b[i] = a[i - 3] - a[i + 2]


@kernel
def next_only(a: In[i32, n], b: InOut[i32, n]):
    for i in parallel(n):
        if i + 1 < n:
            b[i] = a[i + 1]
        else:
            b[i] = a[i]


@kernel
def from_one(a: In[f32, n], b: InOut[f32, n]):
    for i in parallel(range(1, n - 1)):
        b[i] = a[i - 1] + a[i + 1]


@kernel
def limited(first: i64, last: i64, a: In[u8, n], b: InOut[u8, n]):
    for i in parallel(n):
        if i < first or i > last:
            continue
        b[i] = a[i] + u8(1)


@kernel
def chosen(a: In[f32, n], b: In[f32, n], c: Out[f32, n]):
    for i in parallel(n):
        c[i] = a[i] + (a[i] * b[i] if b[i] > 0 else 0.0)


@kernel
def pairs(a: In[u16, n, 2], b: Out[u16, n, 2]):
    for i in parallel(n):
        b[i, 0] = a[i, 1]
        b[i, 1] = a[i, 0] + a[0, 0]


@kernel
def half_of_each_pair(a: InOut[i32, n, 2]):
    for i in parallel(n):
        a[i, 1] = 7


@kernel
def flat_pixels(rgb: In[u8, n], y: Out[u8, m]):
    for i in parallel(m):
        y[i] = u8((u16(rgb[3 * i]) + u16(rgb[i * 3 + 1]) + u16(rgb[2 + 3 * i])) // 3)


@kernel
def changed_twice(a: InOut[f32, n]):
    for i in parallel(n):
        a[i] += 1.0
        a[i] = a[i] * a[i]


@kernel
def mixed(a: In[u8, n], b: In[f16, n], c: In[bool_, n], d: Out[f32, n], e: Out[f16, n], f: Out[bool_, n]):
    for i in parallel(n):
        d[i] = f32(a[i]) + f32(b[i])
        e[i] = f16(f32(b[i]) * 0.5)
        f[i] = not c[i]


@kernel
def transposed_sum(a: In[f32, m, n], b: In[f32, n, m], c: Out[f32, n, m]):
    for i, j in parallel(n, m):
        c[i, j] = a[j, i] + b[i, j]


@kernel
def transposed_bytes(a: In[u8, m, n], b: Out[u8, n, m]):
    for i, j in parallel(n, m):
        b[i, j] = a[j, i]


@kernel
def transposed_inside(a: In[f32, m, n], b: InOut[f32, n, m]):
    for i, j in parallel(n, m):
        if 1 <= i < n - 1 and j >= 2:
            b[i, j] = a[j, i - 1] + a[j - 2, i + 1]


@kernel
def pages(a: In[i32, q, m, n], b: Out[i32, q, n, m]):
    for page, i, j in parallel(q, n, m):
        b[page, i, j] = a[page, j, i]


@kernel
def box(a: In[u32, m, n], b: InOut[u32, m, n]):
    for y, x in parallel(m, n):
        if 0 < y < m - 1 and 0 < x < n - 1:
            total = a[y - 1, x - 1] + a[y - 1, x] + a[y - 1, x + 1]
            total += a[y, x - 1] + a[y, x] + a[y, x + 1]
            b[y, x] = total + a[y + 1, x - 1] + a[y + 1, x] + a[y + 1, x + 1]


@kernel
def row_of_rows(rows: In[i64, m], a: In[f32, m, n], b: Out[f32, m, n]):
    for y, x in parallel(m, n):
        b[y, x] = a[rows[y], x]


@kernel
def guarded_load(limit: i64, a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i - 1] if i > limit else 0.0


@kernel
def written_sometimes(a: In[f32, n], b: InOut[f32, n]):
    for i in parallel(n):
        if a[i] > 0.0:
            b[i] = a[i]


@kernel
def shifted_in_place(a: InOut[f32, n]):
    for i in parallel(n // 2):
        a[i] = a[i + n // 2]


@kernel
def strided(a: In[f32, n], b: Out[f32, m]):
    for i in parallel(m):
        b[i] = a[1024 * i]


@kernel
def gathered(indices: In[i64, n], a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[indices[i]]


@kernel
def doubles(a: In[f64, n], b: Out[f64, n]):
    for i in parallel(n):
        b[i] = a[i] + 1


TILED = [
    kernels.add_one, kernels.saxpy, kernels.stencil3, kernels.stencil5, kernels.grey, kernels.transpose, far_neighbours,
    from_one, limited, chosen, pairs, flat_pixels, changed_twice, mixed, transposed_sum, transposed_bytes,
    transposed_inside, pages, box,
]  # fmt: skip
SINGLE = [
    kernels.scan_step, next_only, half_of_each_pair, row_of_rows, guarded_load, written_sometimes, shifted_in_place,
    strided, gathered, doubles,
]  # fmt: skip


def named(kernel: Kernel) -> str:
    return kernel.name


@pytest.mark.parametrize("kernel", TILED, ids=named)
def test_a_tile_is_taken_where_its_elements_lie_side_by_side(kernel: Kernel) -> None:
    assert "XD_UNROLLED" in kernel.opencl_program().source


@pytest.mark.parametrize("kernel", SINGLE, ids=named)
def test_no_tile_is_taken_of_elements_that_only_some_iterations_use_or_that_lie_apart(kernel: Kernel) -> None:
    assert "XD_UNROLLED" not in kernel.opencl_program().source


def test_a_transpose_reads_and_writes_whole_lines_of_a_square() -> None:
    program = kernels.transpose.opencl_program()
    (phase,) = program.phases
    assert (phase.each, phase.gpu_block) == ((4, 4), (32, 4))
    assert "w0[k3][k4] = w1[k4][k3];" in program.source


@pytest.mark.usefixtures("opencl_device")
@pytest.mark.parametrize("kernel", TILED + SINGLE, ids=named)
def test_tiles_do_what_their_iterations_do(kernel: Kernel) -> None:
    built = cl_program.build(kernel.signature, kernel.opencl_program())
    for rows, columns in SIZES:
        sizes = {"q": 3, "m": rows, "n": columns}
        if kernel in (flat_pixels, strided):
            sizes["n"] = rows * (3 if kernel is flat_pixels else 1024)
        rng = np.random.default_rng(0)
        arguments = [_argument(param.type, sizes, rng) for param in kernel.signature.params]
        expected = [value.copy() if isinstance(value, np.ndarray) else value for value in arguments]
        kernel.python(*expected)
        built.run(kernel.name, *arguments)
        for param, found, wanted in zip(kernel.signature.params, arguments, expected, strict=True):
            np.testing.assert_array_equal(found, wanted, err_msg=f"{param.name} of {sizes}")


@pytest.mark.usefixtures("opencl_device")
@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 5), (3, 1 << 40), (1 << 32, 1 << 40), ((1 << 32) + 3, 70), (-(1 << 40), 9), (-(1 << 32) + 4, -2), (7, 6)],
)
def test_bounds_in_64_bits_hold_where_indices_have_32(first: int, last: int) -> None:
    built = cl_program.build(limited.signature, limited.opencl_program())
    for size in (1, 5, 64, 300):
        a, b = np.arange(size, dtype=np.uint8), np.full(size, 77, np.uint8)
        expected = b.copy()
        limited.python(first, last, a, expected)
        built.run("limited", first, last, a, b)
        np.testing.assert_array_equal(b, expected)


def test_loops_of_three_dimensions_keep_their_first_one_single() -> None:
    (phase,) = pages.opencl_program().phases
    assert (phase.each, phase.gpu_block) == ((1, 4, 4), (1, 32, 4))


def _argument(type_: Any, sizes: dict[str, int], rng: np.random.Generator) -> Any:
    if not hasattr(type_, "extents"):
        return 2 if type_ == i64 else 0.5
    shape = [sizes.get(getattr(extent, "name", ""), extent) for extent in type_.extents]
    if type_.element == i64:
        return rng.integers(0, max(1, shape[0]), shape)
    if type_.element == bool_:
        return rng.random(shape) < 0.5
    return (rng.random(shape) * 200 - (0 if type_.element.name[0] == "u" else 100)).astype(type_.element.dtype)
