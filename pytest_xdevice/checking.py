"""`Device.check`: a kernel on drawn arguments beside a reference, down to the simplest arguments that fail."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any
from typing import Final
from typing import Protocol

import numpy as np

from .artifact import KernelSource
from .compare import assert_close
from .errors import ArgumentError
from .errors import DeviceLost
from .errors import KernelTimeout
from .kernel.binding import omittable
from .kernel.kernel import Kernel
from .kernel.signature import Signature
from .measurement import whole_count

Reference = Callable[..., Any]
# Of arrays with more elements only the first and the last ones are shown.
_SHOWN_ELEMENTS: Final = 40


class Runner(Protocol):
    """What kernels are checked on: a `Device`, as far as that is needed here."""

    @property
    def name(self) -> str: ...

    def compile(self, kernel: KernelSource) -> object: ...

    def run(self, kernel: KernelSource, *args: object) -> Any: ...

    def freeing(self) -> AbstractContextManager[None]: ...


class _End(BaseException):
    """Ends the search at once: simpler arguments would cost as long, or cannot be tried any more."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def check(
    device: Runner,
    kernel: KernelSource,
    reference: Reference | None,
    max_examples: int,
    max_size: int | None,
    arguments: Any,
    tolerances: Mapping[str, Any],
) -> None:
    """Do as `Device.check` says."""
    __tracebackhide__ = True
    from . import strategies

    max_examples = whole_count("check: max_examples", max_examples)
    if reference is None and isinstance(kernel, Kernel):
        reference = kernel.python
    if reference is None:
        raise ArgumentError(
            f"check: {kernel.signature.name} has no Python to be compared with: give a reference, "
            f"as in xdevice.check({kernel.signature.name}, lambda a: a + 1)"
        )
    if arguments is None:
        arguments = strategies.arguments(kernel, max_size=strategies.MAX_SIZE if max_size is None else max_size)
    elif max_size is not None:
        raise ArgumentError("check: max_size says nothing to the arguments that you draw: give it to their strategy")
    device.compile(kernel)  # a mistake in the kernel is none of any arguments
    examples = _Examples(device, kernel, reference, tolerances)
    error = examples.search(arguments, max_examples)
    if error is not None:
        raise error.with_traceback(_within(reference, error)) from None


class _Examples:
    """The search for arguments that fail."""

    def __init__(
        self, device: Runner, kernel: KernelSource, reference: Reference, tolerances: Mapping[str, Any]
    ) -> None:
        self._device = device
        self._kernel = kernel
        self._reference = reference
        self._tolerances = tolerances
        self._count = 0
        self._failing: Sequence[Any] = ()

    def search(self, arguments: Any, max_examples: int) -> Exception | None:
        """Return what the simplest arguments that fail give, with the arguments in its message."""
        from hypothesis import given
        from hypothesis import HealthCheck
        from hypothesis import Phase
        from hypothesis import settings

        chosen = settings(
            max_examples=max_examples,
            deadline=None,  # the first launch loads the kernel
            database=None,  # the message has all that it takes to try again
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        drawn: Any = given(arguments)
        test: Callable[[], None] = chosen(drawn(self._try))
        try:
            test()
        except _End as end:
            return self._described(end.error)
        except Exception as error:  # noqa: BLE001 # whatever the reference raises is told with its arguments
            return self._described(error)
        return None

    def _try(self, arguments: Sequence[Any]) -> None:
        __tracebackhide__ = True
        self._count += 1
        try:
            with self._device.freeing():
                self._compare(arguments)
        except Exception as error:
            self._failing = arguments
            if isinstance(error, (KernelTimeout, DeviceLost)):
                raise _End(error) from None
            raise

    def _compare(self, arguments: Sequence[Any]) -> None:
        __tracebackhide__ = True
        signature = self._kernel.signature
        names = _written(signature)
        actual = _tuple(self._device.run(self._kernel, *arguments))
        with np.errstate(all="ignore"):
            desired = _expected(signature, self._reference, arguments)
        for name, left, right in zip(names, actual, desired, strict=True):
            try:
                assert_close(left, right, **self._tolerances)
            except AssertionError as error:
                error.args = (f"{name}: {error}",)
                raise

    def _described(self, error: Exception) -> Exception:
        """Add to an error's message which arguments it is about."""
        if self._failing and error.args and isinstance(error.args[0], str):
            error.args = (f"{error.args[0]}\n{self._arguments_text()}", *error.args[1:])
            error.__dict__.pop("__notes__", None)  # hypothesis has shown the same in its own way
        return error

    def _arguments_text(self) -> str:
        signature = self._kernel.signature
        left_out = omittable(signature)
        names = [param.name for param in signature.params if param.name not in left_out]
        if len(names) != len(self._failing):
            names = [param.name for param in signature.params]
        lines = [f"the simplest arguments that fail, of {self._count} tried on {self._device.name}:"]
        with np.printoptions(threshold=_SHOWN_ELEMENTS, floatmode="unique", linewidth=100):
            lines += [_argument_text(name, value) for name, value in zip(names, self._failing, strict=False)]
        return "\n".join(lines)


def _within(reference: Reference, error: Exception) -> TracebackType | None:
    """Return where in the reference an error was raised; None where it was elsewhere, which the message says all of."""
    code, place = getattr(reference, "__code__", None), error.__traceback__
    while place is not None and place.tb_frame.f_code is not code:
        place = place.tb_next
    return place


def _argument_text(name: str, value: Any) -> str:
    text = f"{value!r}".replace("\n", "\n    ")
    if isinstance(value, np.ndarray) and value.size > _SHOWN_ELEMENTS and "shape=" not in text:
        text += f"  # shape {value.shape}"  # as NumPy itself says from 2.0 on
    return f"  {name} = {text}"


def _written(signature: Signature) -> list[str]:
    return [param.name for param in signature.params if param.is_written]


def _expected(signature: Signature, reference: Reference, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Return what a reference makes of arguments, in the order of the parameters that are written."""
    copies = [value.copy() if isinstance(value, np.ndarray) else value for value in arguments]
    returned = _tuple(reference(*copies))
    left_out = omittable(signature) if len(arguments) < len(signature.params) else frozenset()
    given = iter(copies)
    in_place = {param.name: next(given) for param in signature.params if param.name not in left_out}
    names = _written(signature)
    if len(returned) == len(names):
        return returned
    others = [name for name in names if name not in in_place]
    if len(returned) != len(others):
        raise ArgumentError(
            f"check: the reference returned {len(returned)} arrays, and {signature.name} writes {len(names)}: "
            f"{', '.join(names)}"
        )
    results = {**in_place, **dict(zip(others, returned, strict=True))}
    return tuple(results[name] for name in names)


def _tuple(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)
