"""``==`` with an array on a device, and what a plain assert says of it."""

from __future__ import annotations

import pytest


def test_arrays_are_equal_as_a_whole(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import numpy as np
        import pytest

        def test_equality(xdevice):
            a, b = xdevice.array(np.arange(6.0)), xdevice.array(np.arange(6.0))
            assert a == b
            assert a == np.arange(6.0)
            assert a != np.zeros(6)
            assert a != np.arange(6.0).reshape(2, 3)
            assert a != None
            assert xdevice.array(np.array([np.nan])) != np.array([np.nan])
            with pytest.raises(TypeError, match="unhashable"):
                hash(a)
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)


def test_a_plain_assert_says_where_they_differ(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import numpy as np

        def test_values(xdevice):
            expected = np.arange(1000, dtype=np.float32)
            expected[[7, 9]] = 0.5, np.nan
            assert xdevice.array(np.arange(1000, dtype=np.float32)) == expected

        def test_shapes(xdevice):
            assert xdevice.array(np.zeros(6)) == xdevice.array(np.zeros((2, 3)))

        def test_others():
            assert [1] == [2]
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E *assert <DeviceArray float32[[]1000] on local> == <array float32[[]1000]>",
            "E *arrays are not equal: 2 of 1000 elements of float32[[]1000] mismatch (0.2 %)",
            "E *worst element: [[]7]",
            "E *actual *7.0",
            "E *desired *0.5",
            "E *NaN in desired only: 1, the first at [[]9]*",
            "E *shapes differ: actual is float64[[]6], desired is float64[[]2, 3]*",
            "E *assert [[]1] == [[]2]",
        ]
    )


def test_a_number_or_nothing_is_told_as_such(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import numpy as np

        def test_number(xdevice):
            zeros = xdevice.array(np.zeros(3))
            assert zeros == 0

        def test_nothing(xdevice):
            zeros = xdevice.array(np.zeros(3))
            assert zeros == None
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E *assert <DeviceArray float64[[]3] on local> == 0",
            "E *an array equals one of its shape, and no number; *",
            "E *assert <DeviceArray float64[[]3] on local> == None",
            "E *an array equals arrays of bools, integers and real floats alone",
        ]
    )
