"""What the fixture `xbenchmark` gives a test: a kernel is called, and timed on the device."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from .errors import ArgumentError
from .measurement import whole_count

if TYPE_CHECKING:
    from .artifact import KernelSource
    from .device import Device
    from .function import Function
    from .timing import Timing

FIXTURE: Final = "xbenchmark"
_OF_A_LAUNCH: Final = ("block", "grid", "global_size", "local_size", "offset", "timeout")
_OF_A_MEASUREMENT: Final = ("min_repeat_ms", "warmup", "flush_cache", "cooldown")
# Held open while a kernel is measured; takes the figure from the device's records when it closes.
Keeper = Callable[[], "contextlib.AbstractContextManager[None]"]


class XBenchmark:
    """What a test calls to have a kernel timed: the `xbenchmark` fixture.

    Attributes
    ----------
    timing : Timing or None
        What was measured.
    """

    def __init__(self, device: Device, keeper: Keeper = contextlib.nullcontext) -> None:
        self._device = device
        self._keeper = keeper
        self._was_used = False
        self.timing: Timing | None = None

    def __call__(
        self,
        kernel: KernelSource | Function,
        /,
        *args: object,
        flops: float | None = None,
        bytes: float | None = None,
        number: int | None = None,
        rounds: int | None = None,
        threads: int = 1,
        **options: Any,
    ) -> Any:
        """Time a kernel on the device and return what it computes, once a test.

        Parameters
        ----------
        kernel : Kernel or Function
            A kernel is compiled and loaded first.
        *args
            As for `Device.run`: NumPy arrays, which are never changed, or arrays on the device. `Out` arrays whose dims
            are bound by the others need not be given.
        flops, bytes : float, optional
            Work of one call, for GFLOP/s and GB/s; `bytes` are those of the arrays by default.
        number : int, optional
            Calls in a round, found on the device by default.
        rounds : int, optional
            Samples (default 31, fewer when they are long).
        threads : int
            As for `Device.compile`.
        **options
            Arguments of the kernel by name; ``block``, ``grid``, ``global_size``, ``local_size``, ``offset`` and
            ``timeout`` as for a launch; ``min_repeat_ms``, ``warmup``, ``flush_cache`` and ``cooldown`` as for
            `Function.time`.

        Returns
        -------
        numpy.ndarray, tuple of them, or None
            What `Device.run` would have returned: the results of one call on these arguments. The figures are in
            `timing`.

        Raises
        ------
        ArgumentError
            If the arguments or options do not fit, or the fixture was used before in this test.
        KernelError, TargetError, CompileError, KernelCrash, KernelTimeout, MemoryViolation
            As for `Device.run`.
        """
        __tracebackhide__ = True
        if self._was_used:
            raise ArgumentError(
                f"{FIXTURE} measures once a test, since a figure is stored under the test's name: write another test, "
                "or parametrise this one"
            )
        self._was_used = True
        launch: dict[str, Any] = {name: options.pop(name) for name in _OF_A_LAUNCH if name in options}
        how: dict[str, Any] = {name: options.pop(name) for name in _OF_A_MEASUREMENT if name in options}
        with self._keeper():
            repeat = None if rounds is None else whole_count(f"{FIXTURE}: rounds", rounds)
            how.update(flops=flops, bytes=bytes, number=number, repeat=repeat)
            function = self._loaded(kernel, threads)
            if "repeat" in options and all(param.name != "repeat" for param in function.artifact.signature.params):
                raise ArgumentError(
                    f"{FIXTURE} takes the number of samples as rounds=, like pytest-benchmark; not repeat="
                )
            call = _Call(self._device, function, args, options)
            result = call.once(launch)
            self.timing = function.time(*call.arguments, **how, **launch)
            return call.results() if result is _LATER else result

    def _loaded(self, kernel: KernelSource | Function, threads: int) -> Function:
        __tracebackhide__ = True
        from .function import Function

        if not isinstance(kernel, Function):
            return self._device.compile(kernel, threads=threads)
        if threads != 1:
            raise ArgumentError(f"{kernel.name} is compiled already: give threads to xdevice.compile")
        return kernel


_LATER: Final = object()


class _Call:
    """A call whose arrays are on the device.

    Attributes
    ----------
    arguments : list
        One a parameter, ready for a launch.
    """

    def __init__(self, device: Device, function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        __tracebackhide__ = True
        from .device_array import DeviceArray
        from .kernel.binding import bind
        from .kernel.types import ArrayType
        from .kernel.types import PointerType

        self._function = function
        self.arguments: list[Any] = []
        self._written: list[tuple[Any, bool]] = []  # what the kernel writes, and whether it came from the host
        self._changed: list[tuple[Any, Any]] = []  # what it reads as well, and what it was
        signature = function.artifact.signature
        binding = bind(signature, args, kwargs, allow_missing_out=True)
        for param, value, shape in zip(signature.params, binding.values, binding.shapes, strict=True):
            kind = param.type
            if not isinstance(kind, (ArrayType, PointerType)):
                self.arguments.append(value)
                continue
            from_host = not isinstance(value, DeviceArray)
            array = device.array(value) if from_host and value is not None else value
            if array is None:
                assert isinstance(kind, ArrayType)  # a pointer says nothing of how much is written
                array = device.empty(shape or (), kind.element.dtype)
            self.arguments.append(array)
            if kind.mode != "in":
                self._written.append((array, from_host))
            if kind.mode == "inout" and from_host:
                self._changed.append((array, value))

    def once(self, launch: Mapping[str, Any]) -> Any:
        """Return the results of one call, where many would change what they start from, else `_LATER`."""
        __tracebackhide__ = True
        if not self._changed:
            return _LATER
        self._function(*self.arguments, **launch)
        results = self.results()
        for array, values in self._changed:
            array.copy_from(values)
        return results

    def results(self) -> Any:
        """Return what the kernel wrote: NumPy arrays, but for arrays that the caller has on the device."""
        __tracebackhide__ = True
        results = [array.numpy() if from_host else array for array, from_host in self._written]
        return None if not results else results[0] if len(results) == 1 else tuple(results)
