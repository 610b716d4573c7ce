"""The kernels that are compared with hand-written code: each has a namesake in `peers.c` and in `peers.cl`."""

from __future__ import annotations

from pytest_xdevice import dim
from pytest_xdevice import exp
from pytest_xdevice import f32
from pytest_xdevice import i8
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import sqrt
from pytest_xdevice import u8
from pytest_xdevice import u16
from pytest_xdevice import u32
from pytest_xdevice.kernel.kernel import Fast
from pytest_xdevice.kernel.kernel import Kernel
from pytest_xdevice.kernel.mathtable import MathFunction

m, n, k = dim("m"), dim("n"), dim("k")
TILE = 32
STEPS = 64
BLOCKS = (32, 64, 128, 256, 512)


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i] + 1.0


def make_add_one(size: int) -> Kernel:
    @kernel
    def add_one(a: In[f32, n], b: Out[f32, n]) -> None:
        for i in parallel(n, block=size):
            b[i] = a[i] + 1.0

    return add_one


@kernel
def saxpy(alpha: f32, x: In[f32, n], y: InOut[f32, n]) -> None:
    for i in parallel(n):
        y[i] = alpha * x[i] + y[i]


@kernel
def stencil3(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        if 0 < i < n - 1:
            b[i] = 0.25 * a[i - 1] + 0.5 * a[i] + 0.25 * a[i + 1]


@kernel
def stencil5(a: In[f32, m, n], b: Out[f32, m, n]) -> None:
    for y, x in parallel(m, n):
        if 0 < y < m - 1 and 0 < x < n - 1:
            b[y, x] = 0.2 * (a[y, x] + a[y - 1, x] + a[y + 1, x] + a[y, x - 1] + a[y, x + 1])


def make_dot(fast: Fast) -> Kernel:
    @kernel(fast=fast)
    def dot(a: In[f32, n], b: In[f32, n], total: Out[f32, 1]) -> None:
        acc = f32(0)
        for i in range(n):
            acc += a[i] * b[i]
        total[0] = acc

    return dot


def make_sum(fast: Fast) -> Kernel:
    @kernel(fast=fast)
    def sum(a: In[f32, n], total: Out[f32, 1]) -> None:
        acc = f32(0)
        for i in range(n):
            acc += a[i]
        total[0] = acc

    return sum


def make_largest(fast: Fast) -> Kernel:
    @kernel(fast=fast)
    def largest(a: In[f32, n], result: Out[f32, 1]) -> None:
        best = a[0]
        for i in range(1, n):
            best = max(best, a[i])
        result[0] = best

    return largest


def make_matmul_ijk(fast: Fast) -> Kernel:
    @kernel(fast=fast)
    def matmul_ijk(a: In[f32, m, k], b: In[f32, k, n], c: Out[f32, m, n]) -> None:
        for i, j in parallel(m, n):
            acc = f32(0)
            for p in range(k):
                acc += a[i, p] * b[p, j]
            c[i, j] = acc

    return matmul_ijk


@kernel
def matmul_ikj(a: In[f32, m, k], b: In[f32, k, n], c: Out[f32, m, n]) -> None:
    for i in parallel(m):
        for j in range(n):
            c[i, j] = 0.0
        for p in range(k):
            for j in range(n):
                c[i, j] += a[i, p] * b[p, j]


@kernel
def matmul_blocked(a: In[f32, m, k], b: In[f32, k, n], c: Out[f32, m, n]) -> None:
    for row, column in parallel((m + TILE - 1) // TILE, (n + TILE - 1) // TILE):
        for i in range(row * TILE, min(row * TILE + TILE, m)):
            for j in range(column * TILE, min(column * TILE + TILE, n)):
                c[i, j] = 0.0
        for first in range(0, k, TILE):
            for i in range(row * TILE, min(row * TILE + TILE, m)):
                for p in range(first, min(first + TILE, k)):
                    for j in range(column * TILE, min(column * TILE + TILE, n)):
                        c[i, j] += a[i, p] * b[p, j]


@kernel
def transpose(a: In[f32, m, n], b: Out[f32, n, m]) -> None:
    for i, j in parallel(n, m):
        b[i, j] = a[j, i]


def make_softmax(fast: Fast) -> Kernel:
    @kernel(fast=fast)
    def softmax(x: In[f32, m, n], y: Out[f32, m, n]) -> None:
        for row in parallel(m):
            best = x[row, 0]
            for i in range(1, n):
                best = max(best, x[row, i])
            total = f32(0)
            for i in range(n):
                y[row, i] = exp(x[row, i] - best)
                total += y[row, i]
            for i in range(n):
                y[row, i] = y[row, i] / total

    return softmax


def make_layernorm(fast: Fast) -> Kernel:
    @kernel(fast=fast)
    def layernorm(x: In[f32, m, n], gain: In[f32, n], shift: In[f32, n], y: Out[f32, m, n]) -> None:
        for row in parallel(m):
            total = f32(0)
            for i in range(n):
                total += x[row, i]
            mean = total / f32(n)
            squares = f32(0)
            for i in range(n):
                squares += (x[row, i] - mean) * (x[row, i] - mean)
            scale = 1.0 / sqrt(squares / f32(n) + 1e-5)
            for i in range(n):
                y[row, i] = (x[row, i] - mean) * scale * gain[i] + shift[i]

    return layernorm


@kernel
def grey(rgb: In[u8, n, 3], y: Out[u8, n]) -> None:
    for i in parallel(n):
        y[i] = u8((77 * u16(rgb[i, 0]) + 150 * u16(rgb[i, 1]) + 29 * u16(rgb[i, 2])) >> 8)


@kernel
def histogram(a: In[u8, n], counts: InOut[u32, 256]) -> None:
    for i in range(n):
        counts[a[i]] += 1


@kernel
def scan_step(distance: i64, a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i] + a[i - distance] if i >= distance else a[i]


@kernel
def dot_i8(a: In[i8, n], b: In[i8, n], total: Out[i32, 1]) -> None:
    acc = i32(0)
    for i in range(n):
        acc += i32(a[i]) * i32(b[i])
    total[0] = acc


@kernel
def mandelbrot(left: f32, top: f32, step: f32, counts: Out[i32, m, n]) -> None:
    for row, column in parallel(m, n):
        cx, cy = left + step * f32(i32(column)), top + step * f32(i32(row))
        x, y = f32(0), f32(0)
        count = i32(0)
        while count < STEPS and x * x + y * y <= 4.0:
            x, y = x * x - y * y + cx, 2.0 * x * y + cy
            count += 1
        counts[row, column] = count


def make_of_each(function: MathFunction, fast: Fast) -> Kernel:
    """Return a kernel that applies a function to each element."""

    def of_each(x: In[f32, n], y: Out[f32, n]) -> None:
        for i in parallel(n):
            y[i] = function(x[i])

    of_each.__name__ = f"{function.name}_of_each"
    return kernel(fast=fast)(of_each)
