"""The life of what a test allocates, and of the session behind it."""

from __future__ import annotations

import pytest

MISTAKES = """
from kernels import *

@kernel
def wrong(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i] >> 1

@kernel
def beyond(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i + 1]

@kernel
def untyped(a, b: Out[f32, n]):
    pass
"""


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


def test_a_mistake_is_shown_at_the_line_of_the_user(add_one: pytest.Pytester) -> None:
    lines = {
        "xdevice.run(add_one, np.ones(3))": "*expected float32, got float64*",
        "add_one.python(np.ones(3))": "*expected float32, got float64*",
        "add_one.python()": "*add_one takes 2 arguments, or 1 without b, and got 0*",
        "add_one(np.ones(3))": "*write xdevice.run(add_one, ...)*",
        "wrong.python(np.ones(3, np.float32))": "*wrong.py:6:16: '>>' on f32.",
        "xdevice.run(wrong, np.ones(3, np.float32))": "*wrong.py:6:16: '>>' on f32.",
        "build(wrong)": "*wrong.py:6:16: '>>' on f32.",
        "beyond.python(np.ones(3, np.float32))": "*IndexError: a[[]3] is outside of its 3 elements",
        "untyped.python(np.ones(3))": "*parameter 'a' has no type.",
        "xdevice.compile(untyped)": "*parameter 'a' has no type.",
        "kernel(3)": "*got an object of type int: put @kernel right above 'def'",
    }
    tests = (f"def test_{number}(xdevice):\n    {line}\n" for number, line in enumerate(lines))
    imports = (
        "import numpy as np",
        "from kernels import add_one, kernel",
        "from pytest_xdevice.compile import build",
        "from wrong import beyond, untyped, wrong",
    )
    add_one.makepyfile("\n".join((*imports, *tests)), wrong=MISTAKES)
    result = add_one.runpytest()
    result.assert_outcomes(failed=len(lines))
    for line, shown in lines.items():
        result.stdout.fnmatch_lines([f">       {line}", f"E{shown}"], consecutive=True)
    result.stdout.no_fnmatch_line("*pytest_xdevice/*.py:*")


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
