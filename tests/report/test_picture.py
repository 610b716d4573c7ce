"""Where the errors are in the picture of a failed comparison, and that it reaches the reports."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from pytest_xdevice.compare import assert_close
from pytest_xdevice.report.picture import Picture


def picture(actual: Any, desired: Any) -> Picture:
    """Return the picture of two arrays that differ."""
    with pytest.raises(AssertionError) as caught:
        assert_close(actual, desired)
    found = Picture.of(caught.value)
    assert found is not None
    assert Picture.from_json(json.loads(json.dumps(found.to_json()))) == found
    return found


def test_a_small_array_has_a_cell_for_each_element() -> None:
    actual = np.array([[1, 3, 1], [math.nan, 1, math.inf]], np.float32)
    assert picture(actual, np.ones((2, 3), np.float32)) == Picture(
        (2, 3), "float32", 3, (1, 1), ((0, 1, 0), (1, 0, 1)), ((None, 2.0, None), (None, None, None))
    )


def test_a_strip_of_blocks_stands_for_a_long_array() -> None:
    actual = np.zeros(1001, np.int32)
    actual[[15, 8, 1000]] = 3, -7, 1
    found = picture(actual, np.zeros(1001, np.int32))
    assert (found.shape, found.block, len(found.counts), len(found.counts[0])) == ((1001,), (1, 8), 1, 126)
    assert {at: count for at, count in enumerate(found.counts[0]) if count} == {1: 2, 125: 1}
    assert (found.errors[0][1], found.errors[0][125]) == (7.0, 1.0)
    assert not found.has_endless


def test_the_last_two_of_many_dimensions_have_the_worst_of_the_others() -> None:
    actual = np.zeros((3, 2, 130, 4))
    actual[0, 1, 129, 2], actual[2, 0, 128, 2], actual[1, 1, 0, 0] = 5, 6, math.nan
    found = picture(actual, np.zeros(actual.shape))
    assert (found.block, len(found.counts), len(found.counts[0])) == ((3, 1), 44, 4)
    # Rows 126 to 128 are a block, and row 129 the last one.
    assert (found.errors[42][2], found.errors[43][2], found.errors[0][0]) == (6.0, 5.0, None)
    assert sum(map(sum, found.counts)) == found.mismatches == 3
    assert found.has_endless


def test_numbers_shapes_and_other_errors_have_no_picture() -> None:
    for actual, desired in ((1.0, 2.0), (np.zeros(2), np.zeros(3))):
        with pytest.raises(AssertionError) as caught:
            assert_close(actual, desired)
        assert Picture.of(caught.value) is None
    assert Picture.of(ValueError()) is None
