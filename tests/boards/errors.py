"""What can go wrong with an emulated board, told apart by who has to act."""

from __future__ import annotations


class BoardError(RuntimeError):
    """A board that should work and does not: a fault to look into."""


class BoardUnavailable(BoardError):
    """This machine cannot have emulated boards; the message says what it lacks."""
