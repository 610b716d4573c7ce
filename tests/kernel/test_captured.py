"""What a kernel takes from outside of it: constants of modules, closures and objects, and when they are read."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import KernelError
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.compile import build
from pytest_xdevice.kernel.kernel import Kernel
from tests.kernel.test_errors import define

n = dim("n")

TAPS = (1, 2.5, np.float32(4), True)
NESTED = ((1, 2), (3, 4))
SCALE = 3


class Size(NamedTuple):
    rows: int
    columns: int


class Mode(Enum):
    FAST = 7


class Level(IntEnum):
    HIGH = 2


@dataclass(frozen=True)
class Options:
    tile: int
    size: Size
    gain: float = 0.5

    @property
    def area(self) -> int:
        return self.size.rows * self.size.columns


OPTIONS = Options(4, Size(5, 6))
NOT_ONE_OBJECT = 10**9


def double(x):
    return x * SCALE


def test_items_of_tuples() -> None:
    @kernel
    def items(b: Out[f32, 6]):
        b[0] = TAPS[0]
        b[1] = TAPS[1]
        b[2] = TAPS[-2]
        b[3] = NESTED[1][0] + NESTED[0][len(NESTED) - 1]
        b[4] = len(TAPS)
        b[5] = 1 if TAPS[3] else 0

    np.testing.assert_array_equal(items.python(), [1, 2.5, 4, 5, 4, 1])


def test_attributes_of_objects() -> None:
    here = sys.modules[__name__]

    @kernel
    def attributes(b: Out[f32, 7]):
        b[0] = OPTIONS.tile
        b[1] = OPTIONS.size.rows + OPTIONS.size[1]
        b[2] = OPTIONS.gain
        b[3] = OPTIONS.area
        b[4] = Mode.FAST.value
        b[5] = Level.HIGH
        b[6] = here.SCALE

    np.testing.assert_array_equal(attributes.python(), [4, 11, 0.5, 30, 7, 2, 3])


def test_constants_are_known_when_the_kernel_is_read() -> None:
    @kernel
    def known(a: In[f32, 8], b: Out[f32, n]):
        for i in parallel(n, block=OPTIONS.tile):
            b[i] = a[-OPTIONS.tile] ** Level.HIGH

    assert known.ir.body[0].block == (4,)

    @kernel
    def blocked(a: Out[f32, n, n]):
        for i, j in parallel(n, n, block=OPTIONS.size):
            a[i, j] = 0

    assert blocked.ir.body[0].block == (5, 6)


# --- when they are read ----------------------------------------------------------------------------------


def test_changed_global_makes_another_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    @kernel
    def scaled(a: In[f32, n], b: Out[f32, n]):
        for i in parallel(n):
            b[i] = a[i] * SCALE

    a = np.ones(2, np.float32)
    before, source = build(scaled), build(scaled, "opencl")
    assert build(scaled) is before
    assert scaled.python(a)[0] == 3
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 5)
    assert scaled.python(a)[0] == 5
    assert build(scaled).key != before.key
    assert build(scaled, "opencl").opencl_source != source.opencl_source
    monkeypatch.undo()
    assert build(scaled).key == before.key


def test_changed_global_of_a_helper_makes_another_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    @kernel
    def doubled(b: Out[f32, 1]):
        b[0] = double(2)

    assert doubled.python()[0] == 6
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 4)
    assert doubled.python()[0] == 8
    monkeypatch.setattr(sys.modules[__name__], "double", lambda x: x)
    assert doubled.python()[0] == 2


def test_changed_attribute_and_closure_make_another_kernel() -> None:
    class Settings:
        gain = 2

    settings, factor = Settings(), 1

    @kernel
    def gained(b: Out[f32, 1]):
        b[0] = settings.gain * factor

    assert gained.python()[0] == 2
    settings.gain = 3
    assert gained.python()[0] == 3
    factor = 10
    assert gained.python()[0] == 30
    del settings.gain, Settings.gain
    with pytest.raises(KernelError, match="'settings' has no attribute 'gain'"):
        gained.python()


def test_kernel_is_read_once_while_nothing_changes() -> None:
    @kernel
    def constant(b: Out[i64, 1]):
        b[0] = NOT_ONE_OBJECT + OPTIONS.area

    first = constant.ir
    globals()["NOT_ONE_OBJECT"] = int("1" + "0" * 9)  # equal, and another object
    assert constant.ir is first


# --- factories -------------------------------------------------------------------------------------------

FACTORY = """
from pytest_xdevice import In, Out, dim, f32, f64, i32, kernel, parallel

def make(T, size, name="n"):
    n = dim(name)

    def twice(x: T) -> T:
        return x + x

    @kernel
    def scale(a: In[T, n], b: Out[T, n]):
        for i in parallel(n):
            b[i] = twice(a[i]) * T(size)

    return scale
"""


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"], ids=["evaluated", "postponed"])
def test_factory_makes_kernels_of_a_type(future: str, tmp_path: Path) -> None:
    make = define(future + FACTORY, tmp_path / "factory.py")["make"]
    for type_, size in ((f32, 2), (f64, 3), (i32, 4)):
        made: Kernel = make(type_, size, "rows")
        a = np.array([1, 2], type_.dtype)
        assert str(made.signature) == f"scale(a: In[{type_}, rows], b: Out[{type_}, rows])"
        result = made.python(a)
        assert result.dtype == type_.dtype
        np.testing.assert_array_equal(result, a * 2 * size)


ANNOTATED_AS_TEXT = """
from __future__ import annotations
from pytest_xdevice import In, Out, dim, f32, i32, kernel, parallel

n = dim("n")
T = f32

def twice(a: In[T, n], b: Out[T, n]):
    for i in parallel(n):
        b[i] = a[i] + a[i]

def make_fast(n):
    return kernel(fast=True)(twice)

def registered(function):
    T = i32
    return kernel(function)

def make(T):
    @registered
    def thrice(a: In[T, n], b: Out[T, n]):
        for i in parallel(n):
            b[i] = a[i] * 3

    return thrice
"""


def test_annotations_kept_as_text_mean_what_they_mean_where_the_function_is_defined(tmp_path: Path) -> None:
    names = define(ANNOTATED_AS_TEXT, tmp_path / "annotated.py")
    assert str(names["make_fast"](3).signature) == "twice(a: In[f32, n], b: Out[f32, n])"
    assert str(names["make"](f64).signature) == "thrice(a: In[f64, n], b: Out[f64, n])"


def test_kernels_of_one_factory_are_different_artifacts(tmp_path: Path) -> None:
    make = define(FACTORY, tmp_path / "factory.py")["make"]
    assert len({build(make(type_, size)).key for type_ in (f32, f64) for size in (1, 2)}) == 4
