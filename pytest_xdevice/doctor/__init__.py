"""``xdevice doctor``: look at each thing that a kernel needs on its way to a device, and say how to mend what fails."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..config import Settings
from .device import device_steps
from .host import host_steps
from .step import State
from .step import Step

_SIGNS: Final[dict[State, tuple[str, str]]] = {"ok": ("✓", "ok"), "failed": ("✗", "FAILED"), "note": ("–", "note")}


def doctor(spec: str | None, settings: Settings, pyproject: Path, own: Path | None = None, *, as_json: bool) -> bool:
    """Look at this host and, with a specification, at a device; print each step as it is done.

    Parameters
    ----------
    spec : str or None
        The device, in any form of the command line.
    settings : Settings
    pyproject, own : Path
        The files with the named devices, as `resolve_devices` has them.
    as_json : bool
        Print one JSON document at the end instead of lines.

    Returns
    -------
    bool
        Whether all works that is needed.
    """
    host, device = host_steps(), device_steps(spec, settings, pyproject, own) if spec else ()
    if as_json:
        with contextlib.redirect_stdout(sys.stderr):  # what the device prints is no part of the document
            steps = [*host, *device]
        print(json.dumps({"works": _works(steps), "steps": [vars(step) for step in steps]}, indent=2))
    else:
        steps = [*_shown("this host", host), *(_shown(spec, device) if spec else ())]
        failed = [step.name for step in steps if step.state == "failed"]
        print(f"to mend: {', '.join(failed)}" if failed else "all that is needed works")
    return _works(steps)


def _works(steps: Iterable[Step]) -> bool:
    return all(step.state != "failed" for step in steps)


def _shown(title: str, steps: Iterable[Step]) -> Iterator[Step]:
    """Print steps as they come."""
    print(title)
    for step in steps:
        print(_line(step), flush=True)
        yield step


def _line(step: Step) -> str:
    sign, word = _SIGNS[step.state]
    text = f"{step.name}: {step.found}" + (f"\n    {_arrow()} {step.mend}" if step.mend else "")
    return f"  {sign if _can_print(sign) else word} " + text.replace("\n", "\n    ").replace("\n        ", "\n    ")


def _arrow() -> str:
    return "→" if _can_print("→") else "->"


def _can_print(sign: str) -> bool:
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
