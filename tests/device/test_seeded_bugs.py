"""Kernels with the bugs that people make, each of which is found and named; and what must not be taken for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import atomic_add
from pytest_xdevice import bool_
from pytest_xdevice import c_kernel
from pytest_xdevice import dim
from pytest_xdevice import f16
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i8
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import MemoryViolation
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import u8
from pytest_xdevice.remote import Device

pytestmark = pytest.mark.cpu
m, n = dim("m"), dim("n")
PAGES = 4096  # elements that fill pages whole, whatever their width: nothing lies between them and the guards
SLACK = 1001  # elements that leave canaries on both sides


def zeros(element: Any, *shape: int) -> np.ndarray[Any, np.dtype[Any]]:
    return np.zeros(shape, element.dtype)


def write_at(element: Any, offset: Callable[[int], int], size: int) -> Any:
    """Return a kernel that fills ``x`` and writes one element more, and its argument."""
    where = offset(size)

    @kernel
    def fills(x: InOut[element, n], where: i64) -> None:
        for i in parallel(n):
            x[i] = element(1)
        x[where] = element(1)

    return fills, (zeros(element, size), where), "x", where


def read_at(element: Any, offset: Callable[[int], int], size: int) -> Any:
    """Return a kernel that reads one element outside of ``x``."""
    where = offset(size)

    @kernel
    def reads(x: In[element, n], where: i64, y: Out[element, n]) -> None:
        for i in parallel(n):
            y[i] = x[i]
        y[0] = x[where]

    return reads, (zeros(element, size), where), "x", where


@kernel
def shifted_store(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i + 1] = a[i]


@kernel
def shifted_load(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i + 1]


@kernel
def strided_store(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[2 * i] = a[i]


@kernel
def strided_load(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[3 * i]


@kernel
def far_load(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i + 8000]


@kernel
def one_row_more(a: In[f32, m, n], b: Out[f32, m, n]) -> None:
    for i, j in parallel(m, n):
        b[i + 1, j] = a[i, j]


@kernel
def one_row_before(a: In[f32, m, n], b: Out[f32, m, n]) -> None:
    for i, j in parallel(m, n):
        b[i, j] = a[i - 1, j]


@kernel
def axes_swapped(a: In[f32, m, n], b: Out[f32, m, n]) -> None:
    for i, j in parallel(m, n):
        b[j, i] = a[i, j]


@kernel
def end_of_the_last_row(a: In[f32, m, n], b: Out[f32, m, n]) -> None:
    for i in parallel(m):
        for j in range(n + 1):
            b[i, j] = a[i, 0]


@kernel
def counts_outside(x: InOut[i32, n]) -> None:
    for i in parallel(n):
        atomic_add(x[n + i // n], 1)


ONES = np.ones(PAGES, np.float32)
PLANE = np.ones((32, 128), np.float32)
PAST, BEFORE = (lambda size: size), (lambda size: -1)
OUTSIDE = {
    **{
        f"{name} one {side} {size} of {element!r}": make(element, offset, size)
        for element in (u8, i32, f32, f64)
        for name, make, side, offset, size in (
            ("write", write_at, "past", PAST, PAGES),
            ("write", write_at, "past", PAST, SLACK),
            ("write", write_at, "before", BEFORE, PAGES),
            ("write", write_at, "before", BEFORE, SLACK),
            ("read", read_at, "past", PAST, PAGES),
            ("read", read_at, "before", BEFORE, PAGES),
        )
    },
    **{f"write one past {element!r}": write_at(element, PAST, PAGES) for element in (bool_, i8, f16, i64)},
    "vectors stored one too far": (shifted_store, (ONES,), "b", PAGES),
    "vectors stored one too far, into the slack": (shifted_store, (ONES[:SLACK],), "b", SLACK),
    "vectors loaded one too far": (shifted_load, (ONES,), "a", PAGES),
    "strided stores": (strided_store, (ONES,), "b", None),
    "strided loads": (strided_load, (ONES,), "a", None),
    "loads two thousand elements too far": (far_load, (ONES[:1024],), "a", None),
    "a row too many": (one_row_more, (PLANE,), "b", PLANE.size),
    "a row before the first": (one_row_before, (PLANE,), "a", None),
    "axes swapped": (axes_swapped, (PLANE,), "b", None),
    "the end of the last row": (end_of_the_last_row, (PLANE,), "b", PLANE.size),
    "an atomic operation past the end": (counts_outside, (np.zeros(PAGES, np.int32),), "x", PAGES),
}


@pytest.mark.parametrize("bug", OUTSIDE)
def test_an_access_outside_of_an_array_is_named(xdevice: Device, bug: str) -> None:
    source, arguments, argument, index = OUTSIDE[bug]
    with pytest.raises(MemoryViolation, match=f"of argument {argument} ") as caught:
        xdevice.run(source, *arguments)
    violation = caught.value
    assert (violation.kernel, violation.argument) == (source.name, argument)
    size = arguments[0].size
    assert violation.index is not None
    assert not 0 <= violation.index < size
    assert index is None or violation.index == index
    assert ("before the start" if violation.index < 0 else "past the end") in str(violation)


@pytest.mark.parametrize("threads", [2, 4])
def test_an_access_outside_of_an_array_from_threads(xdevice: Device, threads: int) -> None:
    with pytest.raises(MemoryViolation, match="past the end of argument b"):
        xdevice.run(shifted_store, np.ones(1 << 20, np.float32), threads=threads)


@pytest.mark.opencl
def test_an_access_from_red_zone_to_guard_is_named(xdevice: Device) -> None:
    @kernel
    def shifted_by_many(a: In[f32, n], b: Out[f32, n]) -> None:
        for i in parallel(n):
            b[i + 1020] = a[i]

    with pytest.raises(MemoryViolation, match="past the end of argument b") as caught:
        xdevice.run(shifted_by_many, np.ones(1024, np.float32))
    assert caught.value.argument == "b"


C_BUGS = {
    "a byte past the end": ("memset(y, 1, 4 * n + 1)", "y", lambda size: size),
    "a byte before the start": ("((char *)y)[-1] = 1", "y", lambda size: -1),
    "a copy that is too long": ("memcpy(y, x, 4 * n + 4)", None, lambda size: size),
    "a wide vector": ("*(wide *)(y + n - 2) = (wide){0}", "y", lambda size: size),
    "a negative index": ("y[-1] = 1", "y", lambda size: -1),
    "a loop up to and with n": ("for (int i = 0; i <= n; i++) y[i] = x[0]", "y", lambda size: size),
    "a write to const": ("((float *)x)[7] = 1", "x", lambda size: 7),
    "a write to the first of const": ("((float *)x)[0] = 1", "x", lambda size: 0),
    "arguments that were swapped": ("for (int i = 0; i < n; i++) ((volatile float *)x)[i] = y[i]", "x", lambda size: 0),
    "an element more from one to the other": ("for (int i = 0; i <= n; i++) y[i] = x[i]", None, lambda size: size),
    "a write before const": ("((float *)x)[-1] = 1", "x", lambda size: -1),
}


def c_bug(statement: str) -> Any:
    text = (
        "#include <string.h>\ntypedef int wide __attribute__((vector_size(16), aligned(4), may_alias));\n"
        f'void bug(int n, const float *x, float *y) {{ __asm__ volatile("" : "+r"(n)); {statement}; }}\n'
    )
    return c_kernel(text, "void bug(int n, const float *x, float *y)", flags=["-w"])


@pytest.mark.parametrize("size", [PAGES, SLACK])
@pytest.mark.parametrize("bug", C_BUGS)
def test_a_bug_in_c_is_named(xdevice: Device, bug: str, size: int) -> None:
    statement, argument, index = C_BUGS[bug]
    values = np.ones(size, np.float32)
    with pytest.raises(MemoryViolation) as caught:
        xdevice.run(c_bug(statement), size, values, values)
    assert caught.value.argument in ((argument,) if argument else ("x", "y"))
    assert caught.value.index == index(size)
    assert "In" in str(caught.value) or f"of argument {caught.value.argument}" in str(caught.value)


def leaving(element: Any, name: str) -> Any:
    """Return a kernel that does not write all of ``b``."""

    @kernel
    def every_other(a: In[element, n], b: Out[element, n]) -> None:
        for i in parallel(n // 2):
            b[2 * i] = element(a[i])

    @kernel
    def from_one_on(a: In[element, n], b: Out[element, n]) -> None:
        for i in parallel(range(1, n)):
            b[i] = element(a[i])

    @kernel
    def all_but_the_last(a: In[element, n], b: Out[element, n]) -> None:
        for i in parallel(n - 1):
            b[i] = element(a[i])

    @kernel
    def nothing(a: In[element, n], b: Out[element, n]) -> None:
        if n > 1:
            return
        b[0] = element(a[0])

    return {each.name: each for each in (every_other, from_one_on, all_but_the_last, nothing)}[name]


@pytest.mark.parametrize(
    ("name", "first"), [("every_other", 1), ("from_one_on", 0), ("all_but_the_last", 19), ("nothing", 0)]
)
@pytest.mark.parametrize("element", [f16, f32, f64, i8, i32, i64, bool_], ids=repr)
def test_elements_that_are_never_written_are_counted(xdevice: Device, element: Any, name: str, first: int) -> None:
    values = np.ones(20, element.dtype)
    result = xdevice.run(leaving(element, name), values)
    with pytest.raises(AssertionError, match=rf"never written: \d+, the first at \[{first}\]"):
        xdevice.assert_close(result, values)


def test_floats_computed_from_what_was_never_written_are_told(xdevice: Device) -> None:
    @kernel
    def adds_to_nothing(a: In[f32, n], b: Out[f32, n]) -> None:
        for i in parallel(n):
            b[i] = b[i] + a[i]

    with pytest.raises(AssertionError, match="NaN in actual only: 20, the first at"):
        xdevice.assert_close(xdevice.run(adds_to_nothing, np.ones(20, np.float32)), np.ones(20))


class TestNoFalseAlarm:
    def test_an_index_that_leaves_its_row_but_not_the_array(self, xdevice: Device) -> None:
        @kernel
        def next_row(a: In[f32, m, n], b: Out[f32, m, n]) -> None:
            for i, j in parallel(m, n):
                b[i, j] = a[i, j]
            b[0, n] = f32(7)

        result = xdevice.run(next_row, PLANE)
        assert result[1, 0] == 7

    @pytest.mark.parametrize("size", [PAGES, SLACK, 1, 0])
    def test_an_array_is_read_written_and_read_again(self, xdevice: Device, size: int) -> None:
        @kernel
        def double(x: InOut[f32, n]) -> None:
            for i in parallel(n):
                x[i] = x[i] * 2.0

        @kernel
        def copy(a: In[f32, n], b: Out[f32, n]) -> None:
            for i in parallel(n):
                b[i] = a[i]

        a, b = xdevice.array(np.ones(size, np.float32)), xdevice.empty(size)
        doubled, copied = xdevice.compile(double), xdevice.compile(copy)
        for turn in range(1, 4):
            copied(a, b)
            doubled(a)
            doubled(b)
            copied(b, a)
            np.testing.assert_array_equal(a, np.full(size, 2**turn, np.float32))
        a.copy_from(np.zeros(size, np.float32))
        copied(a, b)
        a.free()
        np.testing.assert_array_equal(b, np.zeros(size, np.float32))
        assert xdevice.array(np.ones(size, np.float32)).numpy().sum() == size

    def test_one_array_that_c_reads_and_writes(self, xdevice: Device) -> None:
        bump = c_kernel(
            "void bump(int n, const float *x, float *y) { for (int i = 0; i < n; i++) y[i] = x[i] + 1; }",
            "void bump(int n, const float *x, float *y)",
        )
        values = xdevice.array(np.ones(PAGES, np.float32))
        xdevice.compile(bump)(PAGES, values, values)
        np.testing.assert_array_equal(values, np.full(PAGES, 2, np.float32))
