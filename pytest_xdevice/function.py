"""A kernel that is loaded on a device, ready to be launched, measured and compared with another one."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from .artifact import Artifact
from .artifact import KernelSource
from .comparison import Comparison
from .comparison import DEFAULT_SAMPLES as PAIRS
from .context import Context
from .device_array import DeviceArray
from .errors import ArgumentError
from .kernel.binding import bind
from .kernel.launch_shape import LaunchShape
from .kernel.sizes import Sizes
from .launch import Run
from .measurement import Measurement
from .ndrange import read_ndrange
from .timing import Timing


class Function:
    """A kernel that is loaded on a device.

    Attributes
    ----------
    artifact : Artifact
        What was made: IR, assembly, OpenCL source, object code.
    """

    def __init__(self, context: Context, artifact: Artifact, source: KernelSource | None = None) -> None:
        self._context = context
        self.artifact = artifact
        self._source = source
        self._shaped: dict[LaunchShape, Function] = {}
        self._last: Run | None = None
        self._last_call: tuple[object, ...] = ()

    def __repr__(self) -> str:
        return f"<Function {self.artifact.signature} on {self._context.name}>"

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.artifact.name

    def __call__(
        self,
        *args: object,
        block: Sizes = None,
        grid: Sizes = None,
        global_size: Sizes = None,
        local_size: Sizes = None,
        offset: Sizes = None,
        timeout: float | None = None,
        **kwargs: object,
    ) -> None:
        """Launch the kernel on arrays that live on the device, and wait for it.

        Parameters
        ----------
        *args, **kwargs
            One for each parameter. Arrays that are only read may be NumPy arrays; they are uploaded for the launch.
        block : int or tuple of int, optional
            Iterations in a work-group, in the order of the variables of `parallel`, for the loops of that rank and
            instead of the kernel's own; on an OpenCL device one build for each. On a CPU it changes nothing.
        grid : int or tuple of int, optional
            Work-groups, in the same order, which then take iterations in turns until all are done.
        global_size, local_size, offset : int or tuple of int, optional
            For kernels in OpenCL C, in OpenCL's order: the number of work-items, which has to be given, of those in a
            work-group, and the first one's id.
        timeout : float, optional
            Seconds that it may take.

        Raises
        ------
        ArgumentError, KernelCrash, KernelTimeout, MemoryViolation
        """
        __tracebackhide__ = True
        if block is not None or grid is not None:
            self._with_shape(block, grid)(
                *args, block=None, grid=None, global_size=global_size, local_size=local_size, offset=offset,
                timeout=timeout, **kwargs,
            )  # fmt: skip
            return
        call = (timeout, global_size, local_size, offset, *args)
        if self._last is not None and not kwargs and self._is_last(call) and self._last.is_current:
            self._last.again()
            return
        run = self._prepare(args, kwargs, {"global_size": global_size, "local_size": local_size, "offset": offset})
        run.execute(timeout)
        self._last, self._last_call = (run, call) if run.is_repeatable and not kwargs else (None, ())

    def time(
        self,
        *args: object,
        number: int | None = None,
        repeat: int | None = None,
        min_repeat_ms: float | None = None,
        warmup: int = 1,
        flush_cache: bool = False,
        cooldown: float = 0.0,
        flops: float | None = None,
        bytes: float | None = None,
        block: Sizes = None,
        grid: Sizes = None,
        global_size: Sizes = None,
        local_size: Sizes = None,
        offset: Sizes = None,
        timeout: float | None = None,
        **kwargs: object,
    ) -> Timing:
        """Measure the kernel on the device, without the network and without Python in the figure.

        Parameters
        ----------
        *args, **kwargs
            As for a launch.
        number : int, optional
            Calls in a sample; by default as many as take about 0.2 ms and 100 ticks of the device's clock, and 1 with
            `flush_cache`.
        repeat : int, optional
            Samples (default 31, fewer when they are long).
        min_repeat_ms : float, optional
            Milliseconds that a sample lasts at least; `number` is raised until it does.
        warmup : int
            Calls that come first and do not count, 1 or more.
        flush_cache : bool
            Whether each sample starts with caches that hold nothing of the kernel's.
        cooldown : float
            Seconds of rest before each sample, for a device that gets hot.
        flops, bytes : float, optional
            Floating-point operations of one call, and the bytes it moves, by default those of its arrays: an `InOut`
            array is read and written. GFLOP/s and GB/s come of them.
        block, grid, global_size, local_size, offset : int or tuple of int, optional
            As for a launch.
        timeout : float, optional
            Seconds that a sample may take.

        Returns
        -------
        Timing
            Seconds per call, one figure a sample.

        Raises
        ------
        ArgumentError
            If an option has a value that it cannot have, or the arguments do not fit.
        KernelCrash, KernelTimeout, MemoryViolation
            If the kernel misbehaves while it is timed.
        """
        __tracebackhide__ = True
        measurement = Measurement.read(
            number=number, repeat=repeat, min_repeat_ms=min_repeat_ms, warmup=warmup, flush_cache=flush_cache,
            cooldown=cooldown, flops=flops, bytes=bytes,
        )  # fmt: skip
        function = self if block is None and grid is None else self._with_shape(block, grid)
        sizes = {"global_size": global_size, "local_size": local_size, "offset": offset}
        (timing,) = function._prepare(args, kwargs, sizes).time(measurement, timeout)
        return timing

    def compare(
        self,
        other: KernelSource | Function,
        *args: object,
        number: int | None = None,
        repeat: int | None = None,
        min_repeat_ms: float | None = None,
        warmup: int = 1,
        flush_cache: bool = False,
        cooldown: float = 0.0,
        global_size: Sizes = None,
        local_size: Sizes = None,
        offset: Sizes = None,
        timeout: float | None = None,
        **kwargs: object,
    ) -> Comparison:
        """Measure this kernel and another one in turns on the device, a sample of each after the other.

        What slows both, such as a clock that sinks or another program, does not look like a difference then. Both are
        launched once before, so that a mistake of either is told as one of its own.

        Parameters
        ----------
        other : Kernel or Function
            Takes the same arguments. A kernel is compiled first, for as many threads as this one.
        *args, **kwargs
            As for a launch; arrays that are written are written by both.
        number, repeat, min_repeat_ms, warmup, flush_cache, cooldown
            As for `time`; `repeat` is 101 by default, fewer when samples are long.
        global_size, local_size, offset, timeout
            As for a launch.

        Returns
        -------
        Comparison
            `ratio` with its `interval`, and the samples of both.

        Raises
        ------
        ArgumentError
            If an option has a value that it cannot have, or the arguments do not fit one of the kernels.
        KernelError, TargetError, CompileError, KernelCrash, KernelTimeout, MemoryViolation
        """
        __tracebackhide__ = True
        measurement = Measurement.read(
            number=number, repeat=repeat, min_repeat_ms=min_repeat_ms, warmup=warmup, flush_cache=flush_cache,
            cooldown=cooldown, most=PAIRS, of="compare",
        )  # fmt: skip
        sizes = {"global_size": global_size, "local_size": local_size, "offset": offset}
        if not isinstance(other, Function):
            other = compiled(self._context, other, self.artifact.threads)
        if other._context is not self._context:
            raise ArgumentError(f"{other!r} is not on the device of {self!r}: load both with one xdevice")
        placed: dict[int, DeviceArray] = {}
        runs = []
        for function in (self, other):
            function._prepare(args, kwargs, sizes).execute(timeout)
            runs.append(function._prepare(function._place(args, kwargs, placed), {}, sizes))
        first, second = runs[0].time(measurement, timeout, runs[1:])
        return Comparison((self.name, other.name), first, second)

    def _place(self, args: Sequence[object], kwargs: dict[str, object], placed: dict[int, DeviceArray]) -> list[object]:
        """Return one argument a parameter, arrays copied to the device, each once."""
        arguments = []
        binding = bind(self.artifact.signature, args, kwargs)
        for param, value in zip(self.artifact.signature.params, binding.values, strict=True):
            if param.is_array and not isinstance(value, DeviceArray):
                if id(value) not in placed:
                    placed[id(value)] = self._context.array(value)
                value = placed[id(value)]
            arguments.append(value)
        return arguments

    def _with_shape(self, block: Sizes, grid: Sizes) -> Function:
        """Return the function with the work-groups of a launch: on the CPU this one."""
        __tracebackhide__ = True
        shape = LaunchShape.read(block, grid)
        if shape not in self._shaped:
            if self._source is None:
                raise ArgumentError(
                    f"{self.name}: {shape}: a kernel that was loaded from a file keeps its work-groups; "
                    "compile it from its source"
                )
            source = self._context.shaped(self._source, shape)
            self._shaped[shape] = self if source is self._source else compiled(self._context, source)
        return self._shaped[shape]

    def _is_last(self, call: tuple[object, ...]) -> bool:
        """Whether these are the very objects of the last launch: arrays on the device, and numbers, do not change."""
        return len(call) == len(self._last_call) and all(map(operator.is_, call, self._last_call))

    def _prepare(self, args: Sequence[object], kwargs: dict[str, object], sizes: dict[str, Sizes]) -> Run:
        __tracebackhide__ = True
        ndrange = read_ndrange(self.artifact, sizes)
        binding = bind(self.artifact.signature, args, kwargs)
        for param, argument in zip(self.artifact.signature.params, binding.values, strict=True):
            if param.is_written and not isinstance(argument, DeviceArray):
                raise ArgumentError(
                    f"{self.name}: {param.name} is written by the kernel: pass an array that lives on the device "
                    "(xdevice.empty or xdevice.array), or use xdevice.run, which brings results back"
                )
        return Run(self._context, self.artifact, binding, ndrange)


def compiled(context: Context, kernel: KernelSource, threads: int = 1) -> Function:
    """Compile a kernel, load it and return the function that launches it; see `Device.compile`."""
    __tracebackhide__ = True
    source = context.source(kernel)
    return Function(context, context.loaded(context.build(source, threads)), source)
