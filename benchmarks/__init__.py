"""Figures of this project beside a peer's, taken in one run."""
