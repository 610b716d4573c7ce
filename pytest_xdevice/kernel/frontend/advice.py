"""What to write in a kernel instead of an object or a name that it cannot have."""

from __future__ import annotations

import dataclasses
import difflib
import enum
from collections.abc import Iterable
from typing import Final

UNKNOWN: Final = "Define it above the kernel, or make it a parameter."


def a_kind(value: object) -> str:
    """Return the name of an object's type with its article."""
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def instead_of(value: object, name: str) -> str:
    """Return what to write instead of an object from outside that is no number."""
    if isinstance(value, tuple):
        return f"Use its items one by one: {name}[0]."
    if isinstance(value, list):
        return f"Make it a tuple, whose items can be used one by one: {name}[0]."
    if isinstance(value, enum.Enum):
        return f"Write {name}.value, or make it an IntEnum."
    if dataclasses.is_dataclass(value) and dataclasses.fields(value):
        return f"Use its fields: {name}.{dataclasses.fields(value)[0].name}."
    return "A kernel can use ints, floats, bools and NumPy scalars from outside."


def instead_of_unknown(name: str, own: Iterable[str], others: Iterable[str]) -> str:
    """Return what to write instead of a name that is not defined.

    Parameters
    ----------
    name : str
    own, others : iterable of str
        Names that the kernel knows, those first that are its own.
    """
    from pytest_xdevice import __all__ as exported

    if name in exported:
        return f"Import it: from pytest_xdevice import {name}."
    return nearest(name, own) or nearest(name, others) or UNKNOWN


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return a question for the candidate that is nearest to a name, or nothing."""
    found = difflib.get_close_matches(name, list(candidates), 1)
    return f"Did you mean '{found[0]}'?" if found else ""
