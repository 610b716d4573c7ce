"""The errors a user of the plugin can meet, all under `XDeviceError`.

A message says what was tried, with what, and what to do next. `KernelError`, which carries a source
location, lives with the language in `pytest_xdevice.kernel.errors`.
"""

from __future__ import annotations


class XDeviceError(Exception):
    """The root of every error that this package raises on purpose."""


class ConfigError(XDeviceError):
    """An option, a device specification or a configuration entry that cannot be understood."""


class TargetError(XDeviceError):
    """A target that is unknown, or that the device at hand cannot run."""


class CompileError(XDeviceError):
    """A kernel that is right by itself but could not be built: LLVM, the linker or OpenCL refused it."""


class ArgumentError(XDeviceError):
    """A launch that does not fit the kernel: a wrong count, dtype, shape, order, or disagreeing dims."""


class DeviceError(XDeviceError):
    """The device answered that it could not do what was asked: out of memory, no such file, a closed array."""


class KernelCrash(XDeviceError):
    """A kernel ended its worker process.

    Attributes
    ----------
    kernel : str
        Name of the kernel that was running.
    signal : str or None
        The signal that ended it, such as ``"SIGSEGV"``; None when the process left by ``exit()``.
    """

    def __init__(self, message: str, *, kernel: str, signal: str | None) -> None:
        super().__init__(message)
        self.kernel = kernel
        self.signal = signal


class MemoryViolation(XDeviceError):
    """A kernel touched memory outside its arguments: a guard page, a canary or poison said so.

    Attributes
    ----------
    kernel : str
        Name of the kernel.
    argument : str or None
        Name of the parameter whose memory was violated, where it can be told.
    index : int or None
        Flat element index of the access, where it can be told.
    """

    def __init__(self, message: str, *, kernel: str, argument: str | None = None, index: int | None = None) -> None:
        super().__init__(message)
        self.kernel = kernel
        self.argument = argument
        self.index = index


class KernelTimeout(XDeviceError):
    """A launch ran longer than it was allowed to and was killed on the device.

    Attributes
    ----------
    kernel : str
        Name of the kernel.
    seconds : float
        The limit that was exceeded.
    """

    def __init__(self, message: str, *, kernel: str, seconds: float) -> None:
        super().__init__(message)
        self.kernel = kernel
        self.seconds = seconds


class RemoteFunctionError(XDeviceError):
    """A Python function that was sent to the device raised an exception there, or ended its process.

    Attributes
    ----------
    function : str
        Its name.
    kind : str
        Name of the exception's type, or the signal or exit status of the process.
    traceback : str
        The device's traceback as text; empty where the process ended.
    """

    def __init__(self, message: str, *, function: str, kind: str, traceback: str) -> None:
        super().__init__(message)
        self.function = function
        self.kind = kind
        self.traceback = traceback


class RemoteFunctionTimeout(XDeviceError):
    """A Python function that was sent to the device ran longer than it was allowed to and was killed there.

    Attributes
    ----------
    function : str
        Its name.
    seconds : float
        The limit that was exceeded.
    """

    def __init__(self, message: str, *, function: str, seconds: float) -> None:
        super().__init__(message)
        self.function = function
        self.seconds = seconds


class DeviceUnreachable(XDeviceError):
    """No session could be opened with a device."""


class DeviceBusy(DeviceUnreachable):
    """Another session has the device, and it was not waited for, or not any longer.

    Attributes
    ----------
    holder : str
        Whose session that is; empty where several devices were asked for.
    """

    def __init__(self, message: str, *, holder: str = "") -> None:
        super().__init__(message)
        self.holder = holder


class DeviceLost(XDeviceError):
    """A session that was open broke: the link, the session process or the device went away."""


class JumpHostError(DeviceUnreachable):
    """A jump host on the way to a device did not let through.

    Attributes
    ----------
    hop : str
        Which, as its specification has it.
    """

    def __init__(self, message: str, *, hop: str) -> None:
        super().__init__(message)
        self.hop = hop


class AuthenticationError(DeviceUnreachable):
    """Host and device server do not share a token."""
