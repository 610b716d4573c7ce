"""Drawn expressions, written in Python, give the same on NumPy scalars, in the interpreter and on devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.remote import Session
from tests.harness.requirement import unavailable

from .drawn import inputs
from .drawn import TYPES
from .drawn_source import accepted
from .drawn_source import kernel_of
from .drawn_source import namespace
from .drawn_source import RESULTS

ELEMENTS = 17


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    opened = Session.open(DeviceConfig("local", "local"))
    yield opened
    opened.close()


def assert_same(got: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], text: str) -> None:
    """Compare bit by bit, but take any NaN for any other."""
    np.testing.assert_array_equal(got, expected, err_msg=text)
    if got.dtype.kind == "f":
        number = ~np.isnan(got)
        np.testing.assert_array_equal(np.signbit(got[number]), np.signbit(expected[number]), err_msg=text)


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="literals are weak since NumPy 2")
@settings(max_examples=250)
@given(chosen=accepted(3, control=False), seed=st.integers(0, 1000))
def test_expressions_mean_what_they_mean_to_numpy(chosen: tuple[str, str], seed: int) -> None:
    kind, text = chosen
    arrays = inputs(ELEMENTS, seed)
    (got,) = interpreted([chosen], arrays)
    names = namespace() | dict(zip(array_names(), arrays, strict=True))
    code = compile(text, text, "eval")
    with np.errstate(all="ignore"):
        expected = [RESULTS[kind](eval(code, names | {"i": i})) for i in range(ELEMENTS)]
    assert_same(got, np.array(expected), text)


@settings(max_examples=40)
@given(chosen=st.lists(accepted(4, control=True), min_size=1, max_size=10), seed=st.integers(0, 1000))
def test_expressions_agree_on_this_machine(session: Session, chosen: list[tuple[str, str]], seed: int) -> None:
    assert_agreement(session, "cpu", chosen, inputs(ELEMENTS, seed))


@settings(max_examples=12)
@given(chosen=st.lists(accepted(3, control=True), min_size=1, max_size=10), seed=st.integers(0, 1000))
def test_expressions_agree_in_opencl(
    request: pytest.FixtureRequest, session: Session, chosen: list[tuple[str, str]], seed: int
) -> None:
    if not session.opencl_devices():
        unavailable(request.config, f"this machine has no OpenCL device: {session.opencl_problem}")
    assert_agreement(session, "opencl", chosen, inputs(ELEMENTS, seed))


def array_names() -> list[str]:
    return [f"{side}_{scalar.name}" for scalar in TYPES for side in "ab"]


def interpreted(chosen: list[tuple[str, str]], arrays: list[np.ndarray[Any, Any]]) -> tuple[np.ndarray[Any, Any], ...]:
    result = kernel_of(chosen).python(*arrays)
    return result if isinstance(result, tuple) else (result,)


def assert_agreement(session: Session, kind: Any, chosen: list[tuple[str, str]], arrays: list[Any]) -> None:
    expected = interpreted(chosen, arrays)
    device = session.device(kind)
    try:
        result = device.run(kernel_of(chosen), *arrays)
    finally:
        device.release()
    found = result if isinstance(result, tuple) else (result,)
    for (_, text), got, wanted in zip(chosen, found, expected, strict=True):
        assert_same(got, wanted, text)
