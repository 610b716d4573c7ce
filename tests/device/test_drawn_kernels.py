"""Whole kernels drawn at random do on the device, bit by bit, what their own interpretation in Python does.

``--drawn-kernels N`` draws N of them and other ones each time; by default few, and always the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import note
from hypothesis import settings
from hypothesis import strategies as st

from pytest_xdevice.remote import Device
from tests.kernel.drawn_kernel import DrawnKernel
from tests.kernel.drawn_kernel import kernels

_FEW = {"cpu": 40, "opencl": 12}
Check = Callable[[], None]


@pytest.fixture
def drawn_settings(request: pytest.FixtureRequest, xdevice: Device) -> settings:
    """Return how many kernels to draw, and whether to draw the same ones each time."""
    asked = request.config.getoption("--drawn-kernels")
    return settings(
        max_examples=asked or _FEW[xdevice.kind],
        derandomize=not asked,
        database=None,
        print_blob=False,
    )


@pytest.mark.cpu
@pytest.mark.opencl
def test_drawn_kernels_do_what_their_interpretation_does(xdevice: Device, drawn_settings: settings) -> None:
    @drawn_settings
    @given(drawn=kernels(), seed=st.integers(0, 1000))
    def agree(drawn: DrawnKernel, seed: int) -> None:
        assert_agreement(xdevice, drawn, seed)

    agree()


def assert_agreement(device: Device, drawn: DrawnKernel, seed: int) -> None:
    """Run a kernel both ways on the same arguments, and compare all that it may write: any NaN equals any other."""
    note(drawn.text)
    source = drawn.kernel()
    arguments = drawn.arguments(source, seed)
    expected = [value.copy() if isinstance(value, np.ndarray) else value for value in arguments]
    source.python(*expected)
    written = [number for number, param in enumerate(source.signature.params) if param.is_written]
    try:
        found = device.run(source, *arguments)
    finally:
        device.release()
    for number, got in zip(written, found, strict=True):
        name = source.signature.params[number].name
        np.testing.assert_array_equal(got, expected[number], err_msg=name)
        if got.dtype.kind == "f":
            signed = ~np.isnan(got)
            np.testing.assert_array_equal(np.signbit(got[signed]), np.signbit(expected[number][signed]), err_msg=name)
