"""The runtime as one zip archive: what is shipped to a device, and what ``xdevice bundle`` writes."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parent
_MAIN: Final = """\
import os, sys
from pytest_xdevice.runtime.__main__ import main
sys.exit(main(program="python3 " + os.path.basename(sys.argv[0])))
"""
_INIT: Final = '"""The device\'s half of pytest-xdevice."""\n'
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the archive depends on nothing but its contents


@functools.lru_cache(maxsize=2)
def runtime_archive(*, executable: bool = False) -> bytes:
    """Return the device's half of the package as a zip archive, the same bytes for the same sources.

    Parameters
    ----------
    executable : bool
        Add an entry point and a ``#!`` line, so that the archive runs as a program (a zipapp).
    """
    contents = {"pytest_xdevice/__init__.py": _INIT}
    for path in sorted((_PACKAGE / "runtime").glob("*.py")):
        contents[f"pytest_xdevice/runtime/{path.name}"] = path.read_text(encoding="utf-8")
    if executable:
        contents["__main__.py"] = _MAIN
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in contents.items():
            file.writestr(zipfile.ZipInfo(name, _EPOCH), text, zipfile.ZIP_DEFLATED)
    return (b"#!/usr/bin/env python3\n" if executable else b"") + archive.getvalue()
