"""A shared library as it goes to a device."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from dataclasses import field
from functools import cached_property


@dataclass(frozen=True)
class SharedLibrary:
    """A library that goes to the device beside the entry.

    Attributes
    ----------
    name : str
        Its file's name.
    data : bytes
    """

    name: str
    data: bytes = field(repr=False)

    @cached_property
    def key(self) -> str:
        """What it is known by on a device."""
        return hashlib.sha256(self.data).hexdigest()
