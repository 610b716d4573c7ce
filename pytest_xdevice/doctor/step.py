"""One step of a diagnosis: what was looked at, what was found, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "failed", "note"]


@dataclass(frozen=True)
class Step:
    """One thing that was looked at.

    Attributes
    ----------
    part : {"host", "device"}
        Where.
    name : str
        What, the same words in every run.
    state : {"ok", "failed", "note"}
        A note is about something that can be done without.
    found : str
        What there is, or the error.
    mend : str
        What to do about it; empty when nothing is to be done, or `found` says so itself.
    """

    part: Literal["host", "device"]
    name: str
    state: State
    found: str
    mend: str = ""
