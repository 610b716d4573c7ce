"""Tests with ``@given``: what hypothesis has to know of the fixture `xdevice`, and what is done after each example."""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .remote import Device

# Where hypothesis keeps the settings of a test, and reads them when the test is about to run.
_SETTINGS: Final = "_hypothesis_internal_use_settings"


@contextmanager
def examples_of(item: pytest.Item, device: Device) -> Iterator[None]:
    """Have a test that hypothesis runs many times free what each example allocated; leave other tests alone.

    Hypothesis would refuse a fixture that lives as long as the whole test, and an example that takes longer than the
    others, as the first one does, whose kernel is compiled. Neither says anything of a test on a device.
    """
    function: Any = getattr(item, "obj", None)
    if not getattr(function, "is_hypothesis_test", False):
        yield
        return
    function = getattr(function, "__func__", function)
    _settle(item, function)
    original = function.hypothesis.inner_test
    function.hypothesis.inner_test = _freeing(original, device)
    try:
        yield
    finally:
        function.hypothesis.inner_test = original


def _freeing(test: Callable[..., Any], device: Device) -> Callable[..., Any]:
    @functools.wraps(test)
    def example(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with device.freeing():
            return test(*args, **kwargs)

    return example


def _settle(item: pytest.Item, function: Any) -> None:
    """Adapt a test's settings, where hypothesis still keeps them in the same place."""
    from hypothesis import HealthCheck
    from hypothesis import settings

    default: Any = settings.default
    own = getattr(function, _SETTINGS, None)
    if own is None:
        return
    suppressed = {*own.suppress_health_check, HealthCheck.differing_executors}  # a class has an instance for each lane
    if _is_only_function_fixture(item):
        suppressed.add(HealthCheck.function_scoped_fixture)
    deadline = None if own.deadline == default.deadline else own.deadline
    setattr(function, _SETTINGS, settings(own, suppress_health_check=suppressed, deadline=deadline))


def _is_only_function_fixture(item: pytest.Item) -> bool:
    """Return whether `xdevice` is the only fixture of the test's own that is made anew for each test."""
    import inspect

    request = item._request  # type: ignore[attr-defined]
    names = inspect.signature(item.function).parameters  # type: ignore[attr-defined]
    scopes = {
        name: definitions[-1].scope
        for name, definitions in request._fixturemanager.getfixtureinfo(
            node=item, func=request.function, cls=None
        ).name2fixturedefs.items()
        if name in names and definitions
    }
    return {name for name, scope in scopes.items() if scope == "function"} <= {"xdevice"}
