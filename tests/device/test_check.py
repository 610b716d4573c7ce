"""`xdevice.check`: kernels on drawn arguments beside a reference, and what a failure shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from pytest_xdevice import ArgumentError
from pytest_xdevice import c_kernel
from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import i32
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import KernelError
from pytest_xdevice import KernelTimeout
from pytest_xdevice import MemoryViolation
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.strategies import arguments

n = dim("n")


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i] + 1.0


@kernel
def scale(factor: f32, a: InOut[f32, n], index: Out[i32, n]):
    for i in parallel(n):
        a[i] = a[i] * factor
        index[i] = i32(i)


@kernel
def forgets_the_tail(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n // 8 * 8):
        b[i] = a[i] + 1.0


@kernel
def takes_nan_for_zero(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i] if a[i] == a[i] else 0.0


@kernel
def overruns(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i + 1] = a[i]


@kernel
def hangs(a: In[f32, n], b: Out[f32, n]):
    while n > 4:
        b[0] = a[0]
    for i in parallel(n):
        b[i] = a[i]


@pytest.mark.cpu
@pytest.mark.opencl
def test_a_kernel_agrees_with_itself_in_python(xdevice: Any) -> None:
    xdevice.check(add_one, max_examples=30)
    xdevice.check(scale, max_examples=30)


def test_a_kernel_agrees_with_numpy(xdevice: Any) -> None:
    xdevice.check(add_one, lambda a: a + 1)
    xdevice.check(scale, lambda factor, a: (a * factor, np.arange(len(a), dtype=np.int32)))

    def in_place(factor: np.float32, a: np.ndarray) -> np.ndarray:
        a *= factor
        return np.arange(len(a), dtype=np.int32)

    xdevice.check(scale, in_place)


def test_a_failure_shows_the_simplest_arguments(xdevice: Any) -> None:
    with pytest.raises(AssertionError) as caught:
        xdevice.check(forgets_the_tail, lambda a: a + 1)
    first, *_, last_but_one, last = str(caught.value).splitlines()
    assert first.startswith("b: arrays are not within rtol=1.3e-06, atol=1e-05 (float32): 1 of 1 elements")
    assert last_but_one.startswith("the simplest arguments that fail, of ")
    assert last_but_one.endswith(f" tried on {xdevice.name}:")
    assert last == "  a = array([0.], dtype=float32)"
    assert not getattr(caught.value, "__notes__", [])


def test_special_values_are_tried(xdevice: Any) -> None:
    with pytest.raises(AssertionError, match=r"NaN in desired only[^$]*  a = array\(\[nan\], dtype=float32\)"):
        xdevice.check(takes_nan_for_zero, lambda a: a)


def test_tolerances_are_those_of_assert_close(xdevice: Any) -> None:
    xdevice.check(add_one, lambda a: a + 1.25, arguments=arguments(add_one, a=st.floats(0, 1, width=32)), atol=0.5)


def test_an_error_on_the_device_shows_its_arguments(xdevice: Any) -> None:
    with pytest.raises(MemoryViolation) as caught:
        xdevice.check(overruns, lambda a: a)
    assert caught.value.argument == "b"
    assert str(caught.value).endswith("  a = array([0.], dtype=float32)")


def test_a_launch_that_hangs_ends_the_search(xdevice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xdevice.session, "settings", replace(xdevice.session.settings, timeout=0.3))
    with pytest.raises(KernelTimeout, match="the simplest arguments that fail, of"):
        xdevice.check(hangs, lambda a: a)


def test_everything_is_freed_between_examples(xdevice: Any) -> None:
    counts = []

    def reference(a: np.ndarray) -> np.ndarray:
        counts.append(len(xdevice._arrays))
        xdevice.array(a)
        return a + 1

    kept = xdevice.array(np.ones(3, np.float32))
    xdevice.check(add_one, reference, max_examples=20)
    assert set(counts) == {1}
    np.testing.assert_array_equal(kept, np.ones(3))


def test_what_cannot_be_checked_is_refused(xdevice: Any) -> None:
    in_c = c_kernel("void f(float *x) { *x = 1; }", "void f(float *x)")
    with pytest.raises(ArgumentError, match="f has no Python to be compared with: give a reference"):
        xdevice.check(in_c)
    for wrong in (0, "many"):
        with pytest.raises(ArgumentError, match=f"max_examples must be positive, .*; got {wrong!r}"):
            xdevice.check(add_one, max_examples=wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="the reference returned 3 arrays, and scale writes 2: a, index"):
        xdevice.check(scale, lambda factor, a: (a, a, a))


def test_a_mistake_in_the_kernel_is_told_without_arguments(xdevice: Any) -> None:
    @kernel
    def wrong(a: In[f32, n], b: Out[f32, n]):
        b[0] = a

    with pytest.raises(KernelError) as caught:
        xdevice.check(wrong, lambda a: a)
    assert "simplest" not in str(caught.value)


def test_an_error_of_the_reference_is_told_with_its_line(xdevice):
    def reference(a: Any) -> Any:
        whole = a.sum()
        return whole[len(a)]  # a mistake

    with pytest.raises(IndexError, match="the simplest arguments that fail") as caught:
        xdevice.check(add_one, reference)
    assert str(caught.traceback[-1].statement).strip() == "return whole[len(a)]  # a mistake"
    with pytest.raises(AssertionError) as other:
        xdevice.check(add_one, lambda a: a)
    assert other.traceback[-1].name == "check"  # a mismatch has no place in the reference
