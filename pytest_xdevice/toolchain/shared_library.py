"""A shared library as it goes to a device."""

from __future__ import annotations

from dataclasses import dataclass


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
    data: bytes
