"""A module with a helper function, whose names are its own."""

from __future__ import annotations

OFFSET = 40


def shifted(x):
    return x + OFFSET
