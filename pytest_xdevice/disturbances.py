"""What may have disturbed a timing: recorded with it, and told in words where it matters."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final

BUSY: Final = 0.5  # processes a core, beyond the one that is timed
END_OTHERS: Final = "end what else runs there"
FIX_CLOCKS: Final = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
_SLOW: Final = 0.9  # of the highest frequency
_HOT: Final = 85.0  # °C; boards begin to throttle at 80 to 95


@dataclass(frozen=True)
class Conditions:
    """What was found on the device right after a measurement; None stands for what the device does not tell.

    Attributes
    ----------
    load : float or None
        Processes that ran or waited in the last minute, on average.
    governors : tuple of str
        The distinct ones of the cores' clocks.
    cpu : int or None
        The core that the process was on.
    frequency, max_frequency : int or None
        Of that core, in Hz.
    throttled : int or None
        How often heat slowed a core during the measurement.
    temperature : float or None
        The highest of the device's sensors, in °C.
    emulator : str
        The program that plays the processor; empty for a real one.
    cores : int
        Those that the process could use.
    pinned : int or None
        The core that it was bound to, of several.
    uneven : bool
        Whether its cores are of different speeds.
    """

    load: float | None = None
    governors: tuple[str, ...] = ()
    cpu: int | None = None
    frequency: int | None = None
    max_frequency: int | None = None
    throttled: int | None = None
    temperature: float | None = None
    emulator: str = ""
    cores: int = 1
    pinned: int | None = None
    uneven: bool = False

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Conditions:
        """Read what the device, or a report, says; keys that are not known here are left out."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**{**known, "governors": tuple(known.get("governors", ()))})

    def causes(self) -> dict[str, str]:
        """Return what makes a figure doubtful: by a name for the cause, what was seen and what to do about it."""
        found = {"emulation": self._emulation()}
        if not self.emulator:  # whose clocks and cores are not those that the kernel runs on
            found |= {
                "throttling": self._throttling(),
                "frequency": self._clocks(),
                "cores": self._cores(),
            }
        found["load"] = self._load()
        return {cause: text for cause, text in found.items() if text}

    def _emulation(self) -> str:
        if not self.emulator:
            return ""
        return f"emulated by {self.emulator}; the times are the emulator's: take them on the hardware itself"

    def _throttling(self) -> str:
        if self.throttled:
            return f"heat slowed its clocks {self.throttled} times while it was measured; cool it, or give cooldown="
        if self.temperature is not None and self.temperature >= _HOT:
            return f"{self.temperature:.0f} °C, where clocks are about to be slowed; cool it, or give cooldown="
        return ""

    def _clocks(self) -> str:
        if self.frequency and self.max_frequency and self.frequency < _SLOW * self.max_frequency:
            governed = f" (governor {', '.join(self.governors)})" if self.governors else ""
            return (
                f"a clock of {self.frequency / 1e6:.0f} MHz of {self.max_frequency / 1e6:.0f} MHz{governed}; "
                f"{FIX_CLOCKS}"
            )
        return ""

    def _cores(self) -> str:
        return "cores of different speeds, and no choice of one; give --xdevice-pin CPU" if self.uneven else ""

    def _load(self) -> str:
        if self.load is None or self.load <= 1 + BUSY * self.cores:
            return ""
        return f"{load_text(self.load, self.cores)}; {END_OTHERS}"


def load_text(load: float, cores: int) -> str:
    """Say in words how many processes ran or waited on how many cores."""
    return f"a load of {load:.1f} on {cores} core{'s' * (cores != 1)}"


def told(found: Iterable[tuple[str, Conditions | None]]) -> list[str]:
    """Return a line on each cause that makes figures of a device doubtful, the first of it, however many it did.

    Parameters
    ----------
    found : iterable of (str, Conditions or None)
        Of each timing, the device's name and what was recorded.
    """
    lines: dict[tuple[str, str], str] = {}
    for device, conditions in found:
        for cause, text in (conditions.causes() if conditions is not None else {}).items():
            lines.setdefault((device, cause), f"{device}: {text}")
    return list(lines.values())
