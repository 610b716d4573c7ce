"""The comparisons: which kernel, on which arguments, under which floating-point rule."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from typing import Final

import numpy as np
from numpy.random import Generator

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


def cases(length: int, rows: int, columns: int) -> Iterable[Case]:
    """Return every comparison, on vectors of `length` and matrices of `rows` by `columns` elements."""
    f32, vector, matrix = np.float32, (length,), (rows, columns)
    yield Case("add_one", kernels.add_one, _all(_floats(*vector), _zeros(f32, *vector)), streams=True)
    yield Case("saxpy", kernels.saxpy, _all(f32(0.5), _floats(*vector), _floats(*vector)), streams=True)
    yield Case("stencil, 3 points", kernels.stencil3, _all(_floats(*vector), _zeros(f32, *vector)), streams=True)
    yield Case("stencil, 5 points", kernels.stencil5, _all(_floats(*matrix), _zeros(f32, *matrix)), streams=True)
    yield Case("transpose", kernels.transpose, _all(_floats(*matrix), _zeros(f32, columns, rows)), streams=True)
    pixels = _integers(np.uint8, length, 3)
    yield Case("RGB to grey u8", kernels.grey, _all(pixels, _zeros(np.uint8, *vector)), streams=True)
    scan = _all(np.int64(64), _floats(*vector), _zeros(f32, *vector))
    yield Case("scan step", kernels.scan_step, scan, streams=True)
    counts = _zeros(np.uint32, 256)
    yield Case("histogram", kernels.histogram, _all(_integers(np.uint8, *vector), counts))
    signed = _integers(np.int8, *vector)
    yield Case("int8 dot", kernels.dot_i8, _all(signed, signed, _zeros(np.int32, 1)))
    view = (f32(-2), f32(-1), f32(0.0625))
    yield Case("Mandelbrot", kernels.mandelbrot, _all(*view, _zeros(np.int32, 32, 40)))
    yield from _matmuls(_all(_floats(rows, 48), _floats(48, columns), _zeros(f32, *matrix)))
    for fast in (False, True):
        yield from _reductions(length, matrix, fast)


def _matmuls(arguments: Callable[[Generator], Arguments]) -> Iterable[Case]:
    yield Case("matmul, ijk", kernels.make_matmul_ijk(False), arguments)
    yield Case("matmul, ikj", kernels.matmul_ikj, arguments)
    yield Case("matmul, blocked", kernels.matmul_blocked, arguments)
    yield Case("matmul, ijk, fast", kernels.make_matmul_ijk(_FAST), arguments, is_fast=True)


def _reductions(length: int, matrix: tuple[int, int], fast: bool) -> Iterable[Case]:
    word, suffix = (_FAST, ", fast") if fast else (False, "")
    f32, columns = np.float32, matrix[1]
    one, vector, square = _zeros(f32, 1), _floats(length), _floats(*matrix)
    result = _zeros(f32, *matrix)
    yield Case(f"dot{suffix}", kernels.make_dot(word), _all(vector, vector, one), fast)
    yield Case(f"sum{suffix}", kernels.make_sum(word), _all(vector, one), fast)
    yield Case(f"max{suffix}", kernels.make_largest(word), _all(vector, one), fast)
    yield Case(f"softmax{suffix}", kernels.make_softmax(word), _all(square, result), fast)
    normed = _all(square, _floats(columns), _floats(columns), result)
    yield Case(f"layernorm{suffix}", kernels.make_layernorm(word), normed, fast)
