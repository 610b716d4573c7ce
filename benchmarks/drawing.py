"""Examples drawn by hypothesis and run on the local device, beside the drawing alone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings

from pytest_xdevice.compile import Compiler
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.remote import Session
from pytest_xdevice.strategies import arguments

from .figures import Figure
from .kernels import add_one

_EXAMPLES = 500


def drawing_figure(compiler: Compiler) -> Figure:
    """Measure `add_one` on arguments of its strategy."""
    with contextlib.closing(Session.open(DeviceConfig("local", "local"), compiler=compiler)) as session:
        device = session.device("cpu")
        run = _examples(lambda args: device.run(add_one, *args))
        draw = _examples(lambda args: None)
        samples = [(_rate(run), _rate(draw)) for _ in range(5)]
    running, drawing = (max(side) for side in zip(*samples, strict=True))
    return Figure("drawn examples of add_one, local", f"{running:.0f} examples/s", f"{drawing:.0f}/s drawn and not run")


def _examples(body: Callable[[tuple[Any, ...]], object]) -> Callable[[], None]:
    @settings(max_examples=_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(args=arguments(add_one))
    def examples(args: tuple[Any, ...]) -> None:
        body(args)

    examples()
    return examples


def _rate(examples: Callable[[], None]) -> float:
    start = time.perf_counter()
    examples()
    return _EXAMPLES / (time.perf_counter() - start)
