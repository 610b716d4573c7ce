"""A connection to one device: its gateway, and a worker for each kind of execution."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from typing import Union

from .artifact import Built
from .artifact import KernelSource
from .client import Problem
from .client import WorkerClient
from .client import WorkerEnded
from .compile import Compiler
from .config import DeviceConfig
from .config import Settings
from .device_info import DeviceInfo
from .device_info import DeviceKind
from .device_info import OpenCLDevice
from .device_output import DeviceOutput
from .errors import DeviceError
from .errors import DeviceLost
from .errors import XDeviceError
from .remote_function import call_remotely
from .target import Target
from .transport import Applicant
from .transport import open_transport
from .transport import Transport
from .transport.control import Control
from .transport.credentials import read_credentials
from .transport.sockets import closing_on_failure
from .transport.spec import parse

Translate = Callable[[object], Union[KernelSource, None]]


class Connection:
    """A connection to one device: its gateway, and a worker for each kind of execution.

    Its attributes are those that `Session` tells of.
    """

    def __init__(
        self, config: DeviceConfig, settings: Settings, transport: Transport, control: Control, compiler: Compiler
    ) -> None:
        self._config = config
        self.name = config.name
        self.address = config.address
        self.settings = replace(settings, timeout=config.timeout or settings.timeout)
        self.compiler = compiler
        self.info = DeviceInfo.from_wire(control.info)
        self.target = _target(config.target or settings.target, self.info, compiler)
        self._pin = config.pin if settings.pin is None else (settings.pin,)
        _check_pin(self._pin, self.info, "pin" if settings.pin is None else "--xdevice-pin")
        self.opencl_problem: str | None = None
        self.output = DeviceOutput(self.name)
        self.launched: dict[str, Built] = {}
        self.translate: Translate = make_nothing
        self.progress: Callable[[str], None] = silent
        self._applicant = Applicant(settings.lease_timeout, silent)
        self._opencl: tuple[OpenCLDevice, ...] | None = None
        self._transport = transport
        self._control = control
        self._workers: dict[DeviceKind, WorkerClient] = {}
        self._starting: dict[DeviceKind, WorkerClient] = {}

    @property
    def lost(self) -> DeviceLost | None:
        """Why the device is out of reach, as far as that can be told without asking it; else None."""
        # An ssh outlives the session that it was started for while a stream is open: those tell of the end.
        for worker in self._workers.values():
            worker.look()
        return self._control.lost

    def reconnect(self, progress: Callable[[str], None] | None = None, seconds: float | None = None) -> None:
        """Open another connection in place of one that was lost or closed. What was on the device is gone.

        Parameters
        ----------
        progress : callable, optional
            As for `open`.
        seconds : float, optional
            As for `open`.

        Raises
        ------
        DeviceUnreachable, AuthenticationError
            If that cannot be done; the session is closed.
        """
        with contextlib.suppress(OSError):
            self.close()
        patience = self.settings.lease_timeout if seconds is None else seconds
        self._applicant = replace(self._applicant, seconds=patience, progress=progress or silent)
        self._transport, self._control = connect(self._config, self.settings, self._applicant)

    def opencl_devices(self) -> tuple[OpenCLDevice, ...]:
        """Return the OpenCL devices there are, the one in use first; empty when there is none."""
        if self._opencl is None:
            try:
                self.worker("opencl")
            except DeviceError as error:
                self.opencl_problem, self._opencl = str(error), ()
        return self._opencl or ()

    @property
    def known_opencl_devices(self) -> tuple[OpenCLDevice, ...]:
        """Those of `opencl_devices`, if anybody has asked for them; nothing is started to find out."""
        return self._opencl or ()

    @property
    def knows_opencl(self) -> bool:
        """Whether it is known which OpenCL devices there are."""
        return self._opencl is not None

    def conditions(self) -> dict[str, Any]:
        """Return what may disturb timings at this moment: see `runtime.conditions.conditions`.

        Raises
        ------
        DeviceLost
            If the session is gone.
        """
        answer: dict[str, Any] = self._control.request("conditions")
        return answer

    def remote(self, function: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        """Run a plain Python function on the device, in a process of its own, and return its result.

        What it prints is the test's captured output.

        Parameters
        ----------
        function : function
            Its source is sent: it imports what it needs itself, and uses nothing of its module or of a function
            around it. The device's Python may be 3.8.
        *args
            Made of builtins, as the result is.
        timeout : float, optional
            Seconds that it may take; those of a launch by default.

        Raises
        ------
        ArgumentError
            If the function needs more than its source, or an argument is no builtin.
        RemoteFunctionError
            If it raised an exception there, whose traceback the error has, or ended its process.
        RemoteFunctionTimeout
            If it took too long; it was killed, with what it had started.
        DeviceError
            If the device could not start it, such as on a full disk.
        DeviceLost
            If the session is gone.
        """
        __tracebackhide__ = True
        seconds = self.settings.timeout if timeout is None else timeout
        return call_remotely(
            self._control, function, args, seconds=seconds, env=dict(self._config.env), show=self.output.show
        )

    def worker(self, kind: DeviceKind) -> WorkerClient:
        """Return the worker for `kind`, a fresh one when the last has died.

        Raises
        ------
        DeviceError
            If the device has no OpenCL.
        DeviceLost
            If the session is gone.
        """
        worker = self._workers.get(kind)
        if worker is None or not worker.alive:
            worker = self._workers[kind] = self._start_worker(kind)
        return worker

    def close(self) -> None:
        """End the session: its workers, its process and its files on the device."""
        for worker in (*self._workers.values(), *self._starting.values()):
            worker.close()
        self._workers.clear()
        self._starting.clear()
        self._transport.close()

    def prepare(self, kind: DeviceKind) -> None:
        """Have a worker for `kind` start while something else is done: if none lives, and no other is starting."""
        worker = self._workers.get(kind)
        if worker is not None:
            worker.look()
        if (worker is None or not worker.alive) and not self._starting:
            with contextlib.suppress(XDeviceError):  # whoever asks for the worker tries again and hears of it
                self._starting[kind] = self._attach_worker(kind)

    def _show_progress(self, text: str) -> None:
        self.progress(f"{self.name}: {text}" if text else "")

    def _start_worker(self, kind: DeviceKind) -> WorkerClient:
        try:
            worker = self._starting.pop(kind, None) or self._attach_worker(kind)
            description = worker.greet()
        except DeviceLost:
            if self._transport.stream_way != "unix" or self.lost:
                raise
            # An sshd may refuse to forward sockets; the control connection itself gets through.
            self._transport.stream_way = "relay"
            return self._start_worker(kind)
        except Problem as problem:
            raise DeviceError(str(problem)) from None
        except WorkerEnded as end:
            said = f":\n{end.output}" if end.output.strip() else ""
            raise DeviceError(f"{end} before it was ready{said}") from None
        if kind == "opencl":
            self._opencl = tuple(OpenCLDevice.from_wire(facts) for facts in description["opencl"])
        return worker

    def _attach_worker(self, kind: DeviceKind) -> WorkerClient:
        """Start a worker and open the stream to it."""
        for other in tuple(self._starting):  # the device gives a stream to whichever worker waits for one
            with contextlib.suppress(XDeviceError):
                self._workers[other] = self._start_worker(other)
        way = self._transport.stream_way
        options = {
            "kind": kind, "stream": way, "guard": self.settings.guard, "opencl": self.settings.opencl or "",
            "pin": self._pin, "env": dict(self._config.env),
        }  # fmt: skip
        if way == "unix":
            started = self._control.request("start", options)
            sock = self._transport.stream(started["path"])
        elif way == "passed":
            self._control.post("start", options)
            try:
                sock = self._transport.stream("")  # the worker starts meanwhile
            except XDeviceError:
                self._control.request("ended", self._control.answer("start")["worker"], True)
                raise
            with closing_on_failure(sock):
                started = self._control.answer("start")
        else:
            sock, channel = self._control.relay()
            with closing_on_failure(sock):
                started = self._control.request("start", options, channel)
        return WorkerClient(self._control, started["worker"], sock, self.output.show, self._show_progress)


def _target(text: str | None, info: DeviceInfo, compiler: Compiler) -> Target:
    if text is None:
        return Target.of_device(info, compiler.host_cpu)
    target = Target.parse(text).completed(info)
    compiler.check(target, info)
    return target


def _check_pin(cpus: tuple[int, ...], info: DeviceInfo, source: str) -> None:
    """Refuse cores that the device does not have, before anything is run on others; `source` is what names them."""
    missing = [cpu for cpu in cpus if info.allowed and cpu not in info.allowed]
    if missing:
        there = ", ".join(map(str, info.allowed))
        raise DeviceError(f"{source}: there is no CPU {missing[0]} that kernels could run on; there are: {there}")


def connect(config: DeviceConfig, settings: Settings, applicant: Applicant) -> tuple[Transport, Control]:
    """Reach a device and start a session there; the arguments are those of `Session.open`."""
    transport = transport_to(config, settings, applicant)
    return transport, transport.open()


def transport_to(config: DeviceConfig, settings: Settings, applicant: Applicant | None = None) -> Transport:
    """Return what leads to a device, not yet opened.

    Raises
    ------
    AuthenticationError
        If there is no token for a device that needs one.
    """
    spec = parse(config.address)
    spec = replace(spec, python=spec.python or config.python)
    credentials = read_credentials(config, settings)
    applicant = applicant or Applicant(settings.lease_timeout, silent)
    return open_transport(spec, credentials=credentials, applicant=applicant)


def make_nothing(kernel: object) -> None:
    """Make no kernels of other things."""


def silent(message: str) -> None:
    """Progress that nobody follows."""
