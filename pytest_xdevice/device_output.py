"""What a device printed, as output of the test that ran meanwhile: pytest captures it, or shows it with -s."""

from __future__ import annotations

import sys
from typing import Final

LIMIT: Final = 64 << 10  # characters a test


class DeviceOutput:
    """Writes what one device prints to `sys.stdout`, 64 KiB a test."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.begin()

    def begin(self) -> None:
        """Begin a test."""
        self._left = LIMIT
        self._cut = 0

    def show(self, text: str) -> None:
        """Write what a batch of operations made the device print."""
        self._cut += max(0, len(text) - self._left)
        _write(text[: self._left])
        self._left -= min(self._left, len(text))

    def end(self) -> None:
        """End a test: say how much was left out."""
        if self._cut:
            _write(f"\n[{self._name} printed {self._cut} characters more: {LIMIT} of a test are shown]\n")
        self.begin()


def _write(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
