"""Wait for something that another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return once `happened()` is true.

    Raises
    ------
    AssertionError
        It was not true within `seconds`.
    """
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"did not happen within {seconds:g} s"
        time.sleep(0.01)
