"""The life of what a test allocates, and of the session behind it."""

from __future__ import annotations

import pytest


def test_arrays_are_freed_when_the_test_ends(add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import numpy as np
        import pytest
        from pytest_xdevice import XDeviceError

        kept = []

        def test_allocates(xdevice):
            kept.append(xdevice.array(np.ones(3, np.float32)))
            assert kept[0].numpy().tolist() == [1, 1, 1]

        def test_next(xdevice):
            with pytest.raises(XDeviceError, match="freed"):
                kept[0].numpy()
        """
    )
    add_one.runpytest().assert_outcomes(passed=2)


def test_arrays_of_a_failed_test_are_freed_too(add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import numpy as np
        import pytest
        from pytest_xdevice import XDeviceError

        kept = []

        def test_allocates(xdevice):
            kept.append(xdevice.array(np.ones(3, np.float32)))
            assert False

        def test_next(xdevice):
            with pytest.raises(XDeviceError, match="freed"):
                kept[0].numpy()
        """
    )
    add_one.runpytest().assert_outcomes(passed=1, failed=1)


def test_the_session_is_one_for_all_tests_and_kinds(add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import pytest

        seen = set()

        @pytest.mark.parametrize("time", range(2))
        def test_add(xdevice, xdevice_session, time):
            assert xdevice.session is xdevice_session
            assert xdevice.name == "local"
            assert xdevice.kind == "cpu"
            seen.add(xdevice_session)
            assert len(seen) == 1
        """
    )
    add_one.runpytest().assert_outcomes(passed=2)


def test_a_wrong_argument_is_shown_at_the_line_of_the_user(add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import numpy as np
        from kernels import add_one

        def test_add(xdevice):
            xdevice.run(add_one, np.zeros(3, np.float64))
        """
    )
    result = add_one.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">       xdevice.run(add_one, np.zeros(3, np.float64))", "E *ArgumentError: add_one*"])
    result.stdout.no_fnmatch_line("*pytest_xdevice/device.py*")


@pytest.mark.parametrize("names", ["f32, In, kernel, Out, parallel, dim", "kernel, parallel, dim, f32, In, Out"])
def test_a_later_run_in_one_process_finds_its_own_modules(add_one: pytest.Pytester, names: str) -> None:
    add_one.makepyfile(
        f"""
        import sys

        from pytest_xdevice import In, Out, dim, f32, kernel, parallel

        # As after a run whose modules pytester forgot.
        for name in [name for name in sys.modules if name.startswith("pytest_xdevice.kernel")]:
            del sys.modules[name]

        import numpy as np
        from pytest_xdevice import {names}

        @kernel
        def double(a: In[f32, dim("n")], b: Out[f32, dim("n")]):
            for i in parallel(a.shape[0]):
                b[i] = a[i] * 2.0

        def test_double(xdevice):
            assert xdevice.run(double, np.ones(3, np.float32)).tolist() == [2, 2, 2]
        """
    )
    add_one.runpytest_subprocess().assert_outcomes(passed=1)
