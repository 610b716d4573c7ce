"""What is printed on a device: it belongs to the test that ran meanwhile, is bounded, and shown as pytest shows it."""

from __future__ import annotations

import pytest

KERNELS = r'''
import numpy as np
import pytest
from pytest_xdevice import c_kernel

SAY = c_kernel(
    """
#include <stdio.h>
#include <stdlib.h>

void say(int count, int then)
{
    for (int i = 0; i < count; i++)
        printf("line %d of the device\\n", i);
    fprintf(stderr, "to stderr\\n");
    printf("the start of a line");
    if (then == 1)
        abort();
    if (then == 2)
        for (;;)
            printf("without end\\n");
}
""",
    "void say(int count, int then)",
)
'''


@pytest.fixture
def speaking(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a pytester with the module ``speaking``, whose kernel ``SAY`` prints lines."""
    pytester.makepyfile(speaking=KERNELS)
    pytester.syspathinsert()
    return pytester


def test_output_is_captured_and_shown_where_a_test_fails(speaking: pytest.Pytester) -> None:
    speaking.makepyfile(
        """
        from speaking import SAY

        def test_passes(xdevice):
            xdevice.run(SAY, 1, 0)

        def test_fails(xdevice):
            xdevice.run(SAY, 2, 0)
            assert False
        """
    )
    result = speaking.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*Captured stdout call*", "line 0 of the device", "line 1 of the device", "to stderr", "the start of a line*"]
    )
    assert result.stdout.str().count("line 0 of the device") == 1


def test_output_is_live_without_capture(speaking: pytest.Pytester) -> None:
    speaking.makepyfile("from speaking import SAY\n\ndef test_says(xdevice):\n    xdevice.run(SAY, 1, 0)")
    result = speaking.runpytest("-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*line 0 of the device"])


@pytest.mark.parametrize("then", [1, 2], ids=["abort", "time-out"])
def test_the_last_words_before_an_end(speaking: pytest.Pytester, then: int) -> None:
    speaking.makepyfile(
        f"""
        from speaking import SAY

        def test_ends(xdevice):
            xdevice.run(SAY, 1, {then}, timeout=0.3)

        def test_next(xdevice, capsys):
            xdevice.run(SAY, 1, 0)
            assert capsys.readouterr().out == "line 0 of the device\\nto stderr\\nthe start of a line"
        """
    )
    result = speaking.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    said = "the start of a line" if then == 1 else "without end"
    result.stdout.fnmatch_lines([f"E * say *{'SIGABRT' if then == 1 else 'ran longer than 0.3 s'}*", f"E *{said}*"])
    result.stdout.fnmatch_lines(["*Captured stdout call*", "line 0 of the device"])
    assert len(result.stdout.str()) < 100_000


def test_a_test_s_output_is_bounded(speaking: pytest.Pytester) -> None:
    speaking.makepyfile(
        """
        from speaking import SAY

        def test_says_much(xdevice, capsys):
            xdevice.run(SAY, 10000, 0)
            text = capsys.readouterr().out
            assert text.startswith("line 0 of the device")
            assert text.endswith("the start of a line")
            assert "bytes are left out here]" in text
            assert len(text) <= 1 << 16

        def test_says_often(xdevice):
            for _ in range(40):
                xdevice.run(SAY, 100, 0)
            assert False
        """
    )
    result = speaking.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*local printed * characters more: 65536 of a test are shown]"])
