"""Comparison of arrays with a reference: what passes, and what the message says of what does not."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_xdevice.compare import assert_close
from pytest_xdevice.compare import ulp_error
from pytest_xdevice.poison import poison
from pytest_xdevice.report.histogram import ulp_histogram

FLOATS = (np.float16, np.float32, np.float64)


def message(actual: Any, desired: Any, **options: Any) -> str:
    """Return what `assert_close` says of two arrays that differ."""
    with pytest.raises(AssertionError) as caught:
        assert_close(actual, desired, **options)
    return str(caught.value)


@pytest.mark.parametrize(("dtype", "rtol", "atol"), [("f2", 1e-3, 1e-5), ("f4", 1.3e-6, 1e-5), ("f8", 1e-7, 1e-7)])
def test_the_tolerance_follows_the_dtype(dtype: str, rtol: float, atol: float) -> None:
    desired = np.array([1000.0], dtype)
    # In float16 the values near 1000 are half a unit apart, so that only 0 or 1 such step can be tried.
    step = max(float(np.spacing(desired[0])), 0.9 * (atol + 1000 * rtol))
    assert_close((desired + np.array(step, dtype)).astype(dtype), desired)
    message((desired + np.array(3 * step, dtype)).astype(dtype), desired)


def test_the_less_precise_dtype_sets_the_tolerance() -> None:
    exact = np.linspace(1, 2, 7)
    assert_close(exact.astype(np.float32), exact)
    assert_close(exact, exact.astype(np.float32))
    message(exact * (1 + 1e-6), exact)


def test_integers_and_bools_have_to_be_equal() -> None:
    assert_close(np.arange(5), np.arange(5))
    assert message(np.array([1, 2, 3], np.int32), np.array([1, 2, 4], np.int32)) == (
        "arrays are not equal: 1 of 3 elements of int32[3] mismatch (33.3 %)\n"
        "  worst element: [2]\n"
        "    actual   3\n"
        "    desired  4\n"
        "    error    1, relative 0.25"
    )
    assert "worst element: [1]" in message(np.array([True, False]), np.array([True, True]))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i4", "u8", "?"])
def test_elements_that_a_device_never_wrote_are_told(dtype: str) -> None:
    desired = np.ones((3, 4), dtype)
    actual = desired.copy()
    kept = actual.view(np.uint8).reshape(3, 4, -1)
    kept[1, 2:] = poison(desired.dtype)
    lines = message(actual, desired).splitlines()
    assert lines[-1].startswith("  never written: 2, the first at [1, 2]: what memory on a device holds until a k")
    assert "never written" in message(actual[:, 2], desired[:, 2])


def test_a_nan_that_was_computed_is_not_taken_for_memory_that_was_never_written() -> None:
    with np.errstate(all="ignore"):
        assert "never written" not in message(np.zeros(3) / 0.0, np.zeros(3))


def test_large_integers_are_compared_exactly() -> None:
    top = np.array([2**63 - 1], np.int64)
    assert "error    1," in message(top, top - 1)
    text = message(np.array([0], np.uint64), np.array([2**64 - 1], np.uint64))
    assert "error    18446744073709551615, relative 1" in text
    assert "error    18446744073709551615" in message(np.array([-(2**63)]), top)


def test_integers_may_be_given_a_tolerance() -> None:
    assert_close(np.array([10, 20], np.uint8), np.array([11, 19], np.uint8), atol=1)
    assert "worst element: [1]" in message(np.array([10, 20], np.uint8), np.array([11, 17], np.uint8), atol=1)


def test_the_message_names_count_worst_element_both_values_and_ulp() -> None:
    desired = np.ones((4, 256), np.float32)
    actual = desired.copy()
    actual[1, 2] += np.float32(2e-5)
    actual[2, 3] += np.float32(2**-10)
    assert message(actual, desired) == (
        "arrays are not within rtol=1.3e-06, atol=1e-05 (float32): "
        "2 of 1024 elements of float32[4, 256] mismatch (0.195 %)\n"
        "  worst element: [2, 3]\n"
        "    actual   1.0009766\n"
        "    desired  1.0\n"
        "    error    0.000976562 (allowed 1.13e-05), relative 0.000977, 8192 ULP"
    )


def test_beside_zero_only_few_ulp_are_told() -> None:
    zero = np.zeros(1, np.float32)
    assert message(np.ones(1, np.float32), zero).endswith("    error    1 (allowed 1e-05)")
    tiny = message(np.full(1, 3e-45, np.float32), zero, atol=0)
    assert tiny.endswith("    error    2.8026e-45 (allowed 0), 2 ULP")


def test_the_worst_element_is_the_one_furthest_beyond_its_tolerance() -> None:
    desired = np.array([1e6, 1.0], np.float32)
    assert "worst element: [0]" in message(desired + np.array([100, 1], np.float32), desired)
    assert "worst element: [1]" in message(desired + np.array([1.5, 1], np.float32), desired)


def test_a_zero_in_the_reference_has_no_relative_error() -> None:
    assert "relative" not in message(np.array([1.0]), np.array([0.0]))


def test_nan_and_infinity_are_told_apart() -> None:
    nan, inf = math.nan, math.inf
    actual = np.array([nan, 1, nan, inf, 1, inf, -inf, inf], np.float32)
    desired = np.array([1, nan, nan, 1, inf, inf, inf, nan], np.float32)
    assert message(actual, desired).splitlines()[1:] == [
        "  NaN in actual only: 1, the first at [0] (actual nan, desired 1.0)",
        "  NaN in desired only: 2, the first at [1] (actual 1.0, desired nan)",
        "  infinity in actual only: 1, the first at [3] (actual inf, desired 1.0)",
        "  infinity in desired only: 1, the first at [4] (actual 1.0, desired inf)",
        "  infinities of opposite sign: 1, the first at [6] (actual -inf, desired inf)",
    ]


def histogram(actual: Any, desired: Any, **options: Any) -> str:
    """Return the histogram of two arrays that differ."""
    with pytest.raises(AssertionError) as caught:
        assert_close(actual, desired, **options)
    return "\n".join(ulp_histogram(caught.value))


def test_the_histogram_counts_elements_by_their_distance_in_ulp() -> None:
    desired = np.ones((100, 100), np.float32)
    desired[4, 4] = math.nan
    actual = desired.copy()
    actual[0, :5] += np.spacing(np.float32(1)) * np.arange(1, 6, dtype=np.float32)
    actual[1, :30] = 1.1
    actual[2, :4] = 3e30, math.nan, math.inf, -math.inf
    assert histogram(actual, desired) == (
        "  elements by their error in ULP of float32:\n"
        "    0              9960  ##############################\n"
        "    up to 1           1  #\n"
        "    up to 2           1  #\n"
        "    up to 4           2  #\n"
        "    up to 8           1  #\n"
        "    up to 1048576    30  #\n"
        "    up to 2^125       1  #\n"
        "    infinite          2  #\n"
        "    NaN in one        1  #\n"
        "    NaN in both       1  #"
    )


@given(data=st.data())
def test_the_histogram_counts_every_element_once(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(FLOATS))
    numbers = st.lists(st.floats(width=np.finfo(dtype).bits), min_size=4, max_size=4)
    actual, desired = (np.array([*data.draw(numbers), end], dtype) for end in (0, 1))
    counts = [int(line.split("  #")[0].split()[-1]) for line in histogram(actual, desired).splitlines()[1:]]
    assert sum(counts) == 5


def test_the_histogram_of_one_number() -> None:
    assert histogram(2.0, 1.0) == (
        "  elements by their error in ULP of float64:\n    up to 2^52  1  ##############################"
    )


def test_there_is_no_histogram_of_integers_shapes_and_other_errors() -> None:
    assert histogram(np.arange(3), np.arange(3) + 1) == ""
    assert histogram(np.zeros(3), np.zeros(4)) == ""
    assert ulp_histogram(ValueError()) == []


def test_equal_nan_can_be_turned_off() -> None:
    assert_close([math.nan], [math.nan])
    assert "NaN in both, and equal_nan is off: 1, the first at [0]" in message([math.nan], [math.nan], equal_nan=False)


def test_no_tolerance_is_wide_enough_for_infinity() -> None:
    assert_close([math.inf], [math.inf])
    message([1e300], [math.inf], rtol=1.0)
    message([math.inf], [1e300], atol=math.inf)
    message([1.0], [2.0], scale=math.inf)


def test_an_infinite_tolerance_takes_every_finite_error() -> None:
    assert_close([1.0, -1e300], [2.0, 1e300], atol=math.inf)
    assert_close([1.0, -1e300], [2.0, 1e300], rtol=math.inf)


def test_shapes_have_to_agree() -> None:
    assert message(np.zeros((2, 3)), np.zeros((3, 2))) == (
        "shapes differ: actual is float64[2, 3], desired is float64[3, 2] "
        "(the same number of elements: is a reshape missing?)"
    )
    assert message(np.zeros(3), np.zeros(4)) == "shapes differ: actual is float64[3], desired is float64[4]"
    message(np.float32(1), np.ones(1, np.float32))


def test_a_single_number_is_compared_with_every_element() -> None:
    assert_close(np.full((2, 3), 2, np.float32), 2)
    assert "1 of 2 elements" in message(np.array([1.0, 2.0]), 1)


def test_empty_arrays_are_close() -> None:
    assert_close(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))


def test_dtypes_are_checked_on_demand() -> None:
    single, double = np.ones(2, np.float32), np.ones(2)
    assert_close(single, double)
    assert message(single, double, check_dtype=True) == "dtypes differ: actual is float32, desired is float64"


def test_either_side_may_be_anything_that_numpy_takes() -> None:
    class Elsewhere:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, np.dtype[Any]]:
            return np.array([1, 2], np.float32)

    assert_close(Elsewhere(), [1, 2])
    assert_close([1, 2], Elsewhere())
    message(Elsewhere(), [1, 3])


@pytest.mark.parametrize("values", [np.array(["a"]), np.array([1j]), np.array([None])])
def test_other_things_are_no_numbers(values: Any) -> None:
    with pytest.raises(TypeError, match=re.escape("compares bools, integers and real floats; actual is")):
        assert_close(values, values)


@pytest.mark.parametrize("tolerance", [-1.0, math.nan])
def test_a_tolerance_is_not_negative(tolerance: float) -> None:
    with pytest.raises(ValueError, match="atol is a number of 0 or more"):
        assert_close([1.0], [1.0], atol=tolerance)


def test_the_traceback_ends_at_the_caller() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_close([1.0], [2.0])
    assert Path(caught.traceback.filter(caught)[-1].path).name == "test_compare.py"


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_the_next_number_is_one_ulp_away(dtype: type[np.floating[Any]], data: st.DataObject) -> None:
    width = np.finfo(dtype).bits
    largest = float(np.finfo(dtype).max)
    value = dtype(data.draw(st.floats(0, largest / 2, width=width)))
    assert ulp_error(np.nextafter(value, dtype(np.inf)), value) == 1
    assert ulp_error(-np.nextafter(value, dtype(np.inf)), -value) == 1
    assert ulp_error(value, value) == 0


def test_ulp_is_that_of_the_less_precise_dtype() -> None:
    assert ulp_error(np.float32(1), np.float64(1) + 2.0**-24) == pytest.approx(0.5, rel=1e-6)
    assert ulp_error(np.float32(1.5), np.float32(1)) == 2**22


def test_ulp_of_special_values() -> None:
    nan, inf = math.nan, math.inf
    actual = np.array([nan, inf, inf, nan, -inf, 3e38], np.float32)
    desired = np.array([nan, inf, 1, 1, inf, inf], np.float32)
    np.testing.assert_array_equal(ulp_error(actual, desired), [0, 0, inf, nan, inf, inf])


def test_ulp_needs_floats() -> None:
    with pytest.raises(TypeError, match="ulp_error compares floats; got int64 and int64"):
        ulp_error(np.array([1]), np.array([1]))


def test_a_sum_is_measured_by_what_was_added_up() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 64, 4096)).astype(np.float32)
    exact = a.astype(np.float64) @ b.T.astype(np.float64)
    scale = np.abs(a) @ np.abs(b).T
    total = np.zeros((64, 64), np.float32)
    for k in range(4096):  # one after the other, as a kernel does, and not in pairs as NumPy
        total += np.outer(a[:, k], b[:, k])
    assert_close(total, exact, scale=scale)
    message(total, exact)  # the default is for single operations
    text = message(total + 0.05 * scale * np.eye(64, dtype=np.float32), exact, scale=scale)
    assert text.startswith("arrays are not within rtol=4.76837e-07 of scale, atol=0 (float32): 64 of 4096 elements")
    assert re.search(r"relative [\d.e+]+, 4\.194e\+05 eps of the scale \d+", text)


def test_a_scale_is_broadcast_and_can_have_a_tolerance() -> None:
    assert_close(np.float32([1, 2]), np.float32([1.5, 2.5]), scale=1000, rtol=1e-3)
    assert_close(np.float32([1, 2]), np.float32([1, 2]), scale=0)
    assert "NaN in actual only: 1" in message(np.float32([np.nan, 2]), np.float32([1, 2]), scale=1e30)


@pytest.mark.parametrize(
    ("scale", "text"),
    [(-1.0, "scale is negative somewhere"), (np.ones(3), r"scale is float64\[3\], and does not fit float32\[2\]")],
)
def test_a_scale_that_makes_no_sense_is_refused(scale: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        assert_close(np.float32([1, 2]), np.float32([1, 2]), scale=scale)


def test_integers_have_no_scale() -> None:
    with pytest.raises(ValueError, match="scale is for floats"):
        assert_close(np.array([1]), np.array([1]), scale=1)


def test_numbers_are_told_as_numbers() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_close(np.float32(1.5), 1.25)
    assert str(caught.value) == (
        "numbers are not within rtol=1.3e-06, atol=1e-05 (float32)\n"
        "    actual   1.5\n"
        "    desired  1.25\n"
        "    error    0.25 (allowed 1.16e-05), relative 0.2, 2.097e+06 ULP"
    )
    with pytest.raises(AssertionError) as caught:
        assert_close(np.float32(np.inf), np.float32(2))
    assert str(caught.value).splitlines()[1:] == ["  infinity in actual only (actual inf, desired 2.0)"]


def test_a_distance_beyond_all_floats_is_left_out() -> None:
    with pytest.raises(AssertionError, match=r"error    7 \(allowed 1e-07\)$"):
        assert_close(np.array([7.0]), np.array([0.0]))
