"""How a device has fared in a run, and when that is reason enough to leave it out of the rest."""

from __future__ import annotations

import json
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

MOST_LOSSES: Final = 2  # the session that is lost for this many times is not opened again
MOST_LATE: Final = 3  # tests in a row whose time on the device was over


@dataclass(frozen=True)
class Health:
    """How a device has fared so far.

    Attributes
    ----------
    was_reached : bool
        Whether a session was ever open.
    losses : int
        How often a session was lost.
    late : int
        How many tests in a row, the last included, had a launch or a function that took too long.
    quarantine : str
        Why the device is left out of the rest of the run; empty where it is not.
    """

    was_reached: bool = False
    losses: int = 0
    late: int = 0
    quarantine: str = ""

    def reached(self) -> Health:
        """Return it after a session was opened."""
        return replace(self, was_reached=True)

    def lost(self, reason: str) -> Health:
        """Return it after a session was lost."""
        losses = self.losses + 1
        found = replace(self, losses=losses)
        return found if losses < MOST_LOSSES else found.quarantined(f"lost {losses} times, at last: {reason}")

    def timed_out(self, what: str) -> Health:
        """Return it after a test whose time on the device was over."""
        late = self.late + 1
        found = replace(self, late=late)
        return found if late < MOST_LATE else found.quarantined(f"{late} tests in a row took too long, at last: {what}")

    def worked(self) -> Health:
        """Return it after a test that passed."""
        return replace(self, late=0)

    def quarantined(self, reason: str) -> Health:
        """Return it as that of a device that is left out from now on."""
        return replace(self, quarantine=f"quarantined for the rest of this run: {reason}")

    def to_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Health:
        """Return what `to_text` wrote; of nothing, that of a device on which nothing is known."""
        return cls(**json.loads(text)) if text else cls()
