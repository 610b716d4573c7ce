"""What a test run has of one device: a connection, and what its tests see of the device."""

from __future__ import annotations

from collections.abc import Callable

from .compile import Compiler
from .compile import default_compiler
from .config import DeviceConfig
from .config import Settings
from .connection import connect
from .connection import Connection
from .connection import make_nothing
from .connection import silent
from .connection import Translate
from .device import Device
from .device_info import DeviceKind
from .transport import Applicant


class Session(Connection):
    """A connection to one device that is opened, and that makes the devices which tests see.

    Attributes
    ----------
    name, address : str
        The device's name in reports, and its specification.
    info : DeviceInfo
    target : Target
        What CPU kernels are compiled for.
    output : DeviceOutput
        What the device printed.
    opencl_problem : str or None
        Why the device has no OpenCL, once that has been looked at.
    translate : callable
        Makes a kernel of what a test gives that is none by itself, or returns None.
    progress : callable
        Told, in a few words, what takes long; nothing when that is done.
    launched : dict of str to Built
        What was launched on the device, by key.
    """

    @classmethod
    def open(
        cls,
        config: DeviceConfig,
        settings: Settings | None = None,
        *,
        compiler: Compiler | None = None,
        progress: Callable[[str], None] | None = None,
        translate: Translate | None = None,
        seconds: float | None = None,
    ) -> Session:
        """Connect to a device.

        Parameters
        ----------
        config : DeviceConfig
        settings : Settings, optional
        compiler : Compiler, optional
            What builds kernels; the process's own by default.
        progress : callable, optional
            Told, in a few words, what is being waited for.
        translate : callable, optional
            Makes a kernel of what a test gives that is none by itself, or returns None.
        seconds : float, optional
            How long to wait for a device that somebody else has, 0 for not at all; by default what the settings say.

        Raises
        ------
        DeviceBusy
            If somebody else has it for longer.
        DeviceUnreachable, AuthenticationError
            If no session could be opened.
        TargetError
            If the target asked for is unknown, or the device cannot run it.
        """
        settings = settings or Settings()
        patience = settings.lease_timeout if seconds is None else seconds
        applicant = Applicant(patience, progress or silent)
        transport, control = connect(config, settings, applicant)
        try:
            session = cls(config, settings, transport, control, compiler or default_compiler())
        except BaseException:
            transport.close()
            raise
        session._applicant = applicant
        session.translate = translate or make_nothing
        return session

    def device(self, kind: DeviceKind) -> Device:
        """Return the device as one test sees it; `Device.release` frees what was allocated through it."""
        self.output.begin()
        self.prepare(kind)
        return Device(self, kind)
