"""The README's example is a test, and it passes as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_example_runs(pytester: pytest.Pytester) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    pytester.makepyfile(example)
    outcomes = pytester.runpytest_subprocess("-rs").parseoutcomes()
    # Where this machine has no OpenCL, [opencl] says so in a skip.
    assert outcomes["passed"] + outcomes.get("skipped", 0) == 3
    assert outcomes["passed"] >= 2
