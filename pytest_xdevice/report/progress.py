"""One line on a terminal for what takes long: it replaces itself, and goes when that is done."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest


class ProgressLine:
    """Shows a text on the terminal, past pytest's capturing; shows nothing where there is none, or with ``-q``.

    Parameters
    ----------
    config : pytest.Config
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_shown = False

    def __call__(self, text: str) -> None:
        """Show `text` in place of the last one; an empty one takes the line away."""
        reporter: Any = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is None or not reporter.isatty or self._config.option.verbose < 0 or not (text or self._is_shown):
            return
        capture: Any = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            if not self._is_shown:
                reporter.ensure_newline()
            reporter.rewrite(text, erase=True)
            if not text:
                reporter.rewrite("")
            reporter.flush()
        self._is_shown = bool(text)
