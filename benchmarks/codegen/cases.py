"""The comparisons: which kernel, on which arguments, under which floating-point rule."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from typing import Final

import numpy as np
from numpy.random import Generator

from pytest_xdevice import exp
from pytest_xdevice import log
from pytest_xdevice import sin
from pytest_xdevice import tanh
from pytest_xdevice.kernel.kernel import Kernel

from . import kernels

Arguments = tuple[Any, ...]
_FAST: Final = "full"


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes
    ----------
    name : str
        What the line says.
    kernel : Kernel
        Its name is that of the peer.
    arguments : callable
        Gives arrays and scalars in parameter order.
    is_fast : bool
        Whether both sides may reorder floating-point arithmetic, and assume that there is no NaN.
    streams : bool
        Whether it does little more than read and write each element once, so that memory is its limit.
    """

    name: str
    kernel: Kernel
    arguments: Callable[[Generator], Arguments]
    is_fast: bool = False
    streams: bool = False


def _floats(*shape: int) -> Callable[[Generator], np.ndarray]:
    return lambda rng: rng.uniform(-1, 1, shape).astype(np.float32)


def _integers(dtype: Any, *shape: int) -> Callable[[Generator], np.ndarray]:
    limits = np.iinfo(dtype)
    return lambda rng: rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def _zeros(dtype: Any, *shape: int) -> Callable[[Generator], np.ndarray]:
    return lambda rng: np.zeros(shape, dtype)


def _all(*makers: Any) -> Callable[[Generator], Arguments]:
    return lambda rng: tuple(maker(rng) if callable(maker) else maker for maker in makers)


@dataclass(frozen=True)
class Sizes:
    """How large the arguments are: for a CPU they fit its caches, for a GPU they fill its memory's bus.

    Attributes
    ----------
    stream, serial : int
        Elements of vectors, and of those that one thread walks through.
    plane, rows, image : tuple of int
        Rows and columns of matrices that are streamed, of those reduced row by row, and of Mandelbrot's picture.
    matmul : tuple of int
        Rows, inner dimension, columns.
    """

    stream: int
    serial: int
    plane: tuple[int, int]
    rows: tuple[int, int]
    image: tuple[int, int]
    matmul: tuple[int, int, int]


def cases(sizes: Sizes) -> Iterable[Case]:
    """Return every comparison, on arguments of these sizes."""
    yield from _streams(sizes)
    counts = _zeros(np.uint32, 256)
    yield Case("histogram", kernels.histogram, _all(_integers(np.uint8, sizes.serial), counts))
    signed = _integers(np.int8, sizes.serial)
    yield Case("int8 dot", kernels.dot_i8, _all(signed, signed, _zeros(np.int32, 1)))
    view = (np.float32(-2), np.float32(-1), np.float32(2 / sizes.image[0]))
    yield Case("Mandelbrot", kernels.mandelbrot, _all(*view, _zeros(np.int32, *sizes.image)))
    yield from _matmuls(*sizes.matmul)
    for fast in (False, True):
        yield from _reductions(sizes, fast)
        yield from _functions(sizes, fast)


def _streams(sizes: Sizes) -> Iterable[Case]:
    f32, vector, plane = np.float32, (sizes.stream,), sizes.plane
    yield Case("add_one", kernels.add_one, _all(_floats(*vector), _zeros(f32, *vector)), streams=True)
    yield Case("saxpy", kernels.saxpy, _all(f32(0.5), _floats(*vector), _floats(*vector)), streams=True)
    yield Case("stencil, 3 points", kernels.stencil3, _all(_floats(*vector), _zeros(f32, *vector)), streams=True)
    yield Case("stencil, 5 points", kernels.stencil5, _all(_floats(*plane), _zeros(f32, *plane)), streams=True)
    yield Case("transpose", kernels.transpose, _all(_floats(*plane), _zeros(f32, *plane[::-1])), streams=True)
    pixels = _integers(np.uint8, *vector, 3)
    yield Case("RGB to grey u8", kernels.grey, _all(pixels, _zeros(np.uint8, *vector)), streams=True)
    scan = _all(np.int64(64), _floats(*vector), _zeros(f32, *vector))
    yield Case("scan step", kernels.scan_step, scan, streams=True)


def _matmuls(m: int, k: int, n: int) -> Iterable[Case]:
    arguments = _all(_floats(m, k), _floats(k, n), _zeros(np.float32, m, n))
    yield Case("matmul, ijk", kernels.make_matmul_ijk(False), arguments)
    yield Case("matmul, ikj", kernels.matmul_ikj, arguments)
    yield Case("matmul, blocked", kernels.matmul_blocked, arguments)
    yield Case("matmul, ijk, fast", kernels.make_matmul_ijk(_FAST), arguments, is_fast=True)


def _functions(sizes: Sizes, fast: bool) -> Iterable[Case]:
    arguments = _all(lambda rng: rng.uniform(0.1, 3, sizes.stream).astype(np.float32), _zeros(np.float32, sizes.stream))
    word, suffix = (_FAST, ", fast") if fast else (False, "")
    for function in (exp, log, sin, tanh):
        yield Case(f"{function.name}{suffix}", kernels.make_of_each(function, word), arguments, fast)


def _reductions(sizes: Sizes, fast: bool) -> Iterable[Case]:
    word, suffix = (_FAST, ", fast") if fast else (False, "")
    columns = sizes.rows[1]
    one, vector, square = _zeros(np.float32, 1), _floats(sizes.serial), _floats(*sizes.rows)
    result = _zeros(np.float32, *sizes.rows)
    yield Case(f"dot{suffix}", kernels.make_dot(word), _all(vector, vector, one), fast)
    yield Case(f"sum{suffix}", kernels.make_sum(word), _all(vector, one), fast)
    yield Case(f"max{suffix}", kernels.make_largest(word), _all(vector, one), fast)
    yield Case(f"softmax{suffix}", kernels.make_softmax(word), _all(square, result), fast)
    normed = _all(square, _floats(columns), _floats(columns), result)
    yield Case(f"layernorm{suffix}", kernels.make_layernorm(word), normed, fast)
