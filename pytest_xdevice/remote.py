"""The host's view of a device: a session with it, the device that a test sees, its arrays and its functions."""

from __future__ import annotations

from .connection import transport_to
from .device import Device
from .device_array import DeviceArray
from .device_info import DeviceKind
from .device_info import OpenCLDevice
from .function import Function
from .session import Session

__all__ = ["Device", "DeviceArray", "DeviceKind", "Function", "OpenCLDevice", "Session", "transport_to"]
