"""Cases that atheris makes: it keeps those that reach code which none before did."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from types import ModuleType

from pytest_xdevice import client
from pytest_xdevice.runtime import files
from pytest_xdevice.runtime import handshake
from pytest_xdevice.runtime import launch
from pytest_xdevice.runtime import wire
from pytest_xdevice.runtime import worker
from tests.fuzz.targets import seeds
from tests.fuzz.targets import Target

LONGEST = 4096  # bytes of a case
MOST_MEMORY = 1024  # MiB of the process, atheris and all cases that it keeps included
_INSTRUMENTED = (client, files, handshake, launch, wire, worker)


def fuzz(chosen: Mapping[str, Target], cases: int, seconds: float) -> int:
    """Run cases; return 0 unless one of them broke something, took longer than `seconds`, or took too much memory.

    The first byte of a case chooses the target. A case that breaks one is kept in a file, whose path is printed.
    """
    with tempfile.TemporaryDirectory(prefix="xdevice-corpus-") as corpus:
        for number, name in enumerate(chosen):
            for case, data in enumerate(seeds()[name]):
                Path(corpus, f"{name}-{case}").write_bytes(bytes([number]) + data)
        # In a process of its own, which atheris ends by itself: folders are removed after that.
        pid = os.fork()
        if not pid:
            try:
                _run([*chosen.values()], corpus, cases, seconds)
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        return min(1, abs(os.waitstatus_to_exitcode(status)))


def _run(ordered: list[Target], corpus: str, cases: int, seconds: float) -> None:
    import atheris  # type: ignore[import-not-found]

    for module in _INSTRUMENTED:
        for function in _functions(module):
            atheris.instrument_func(function)

    def one(data: bytes) -> None:
        if data:
            ordered[data[0] % len(ordered)](data[1:])

    options = {
        "runs": cases, "timeout": round(seconds), "max_len": LONGEST, "rss_limit_mb": MOST_MEMORY,
        "artifact_prefix": f"{tempfile.gettempdir()}/xdevice-fuzz-",
    }  # fmt: skip
    atheris.Setup([sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), corpus], one)
    atheris.Fuzz()


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Yield the functions of a module, and the methods of its classes."""
    for value in [*vars(module).values()]:
        members = vars(value).values() if isinstance(value, type) else [value]
        yield from (f for f in members if isinstance(f, FunctionType) and f.__module__ == module.__name__)
