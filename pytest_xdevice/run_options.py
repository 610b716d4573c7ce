"""What the options, the configuration and the hooks of a run say of its devices, read when it is asked for."""

from __future__ import annotations

from functools import cached_property

import pytest

from .config import DeviceConfig
from .config import Settings
from .errors import TargetError
from .options import default_kind
from .options import Distribution
from .options import distribution
from .options import Kind
from .options import read_devices
from .options import read_settings


class RunOptions:
    """Which devices a run has, and how tests get to them.

    Parameters
    ----------
    config : pytest.Config
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @cached_property
    def devices(self) -> list[DeviceConfig]:
        """The configured devices, after the hook ``pytest_xdevice_devices`` has had its say.

        Raises
        ------
        pytest.UsageError
            If the configuration cannot be understood, or the hooks left no device.
        """
        devices = read_devices(self._config)
        self._config.hook.pytest_xdevice_devices(config=self._config, devices=devices)
        if not devices:
            raise pytest.UsageError("xdevice: pytest_xdevice_devices left no device to run on")
        return devices

    @cached_property
    def settings(self) -> Settings:
        """What the options say for all devices."""
        return read_settings(self._config)

    @cached_property
    def kind(self) -> Kind:
        """What a test without a marker runs on."""
        return default_kind(self._config)

    @cached_property
    def distribution(self) -> Distribution:
        """Whether a test runs on each device, or once, on one that is free."""
        return distribution(self._config)

    @property
    def takes_turns(self) -> bool:
        """Whether this process is to have one leased device at a time, since others may wait for what it has."""
        return self.distribution == "load" or hasattr(self._config, "workerinput")

    def check_configuration(self) -> None:
        """Read the configuration, so that a mistake in it is told before anything else is done.

        Raises
        ------
        pytest.UsageError
            If there is a mistake.
        """
        _ = self.devices, self.settings, self.kind, self.distribution
        for device in self.devices:
            if device.target is not None:
                _check_target(device.name, device.target)


def _check_target(name: str, target: str) -> None:
    from .target import Target

    try:
        Target.parse(target)
    except TargetError as error:
        raise pytest.UsageError(f"xdevice {name}: target: {error}") from None
