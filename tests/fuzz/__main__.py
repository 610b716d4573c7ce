"""``python -m tests.fuzz --cases 1000000``: every target in turn, for crashes, hangs, leaks and growth."""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib.util
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator

from tests.fuzz.coverage_guided import fuzz
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import seeds
from tests.fuzz.targets import Target
from tests.fuzz.targets import targets

HANG_SECONDS = 10.0
WARM_UP = 2000  # cases of a target before its growth counts
MAY_GROW = 40 << 20  # bytes, whatever the number of cases: a worker keeps 32 MiB of what is freed


def main() -> int:
    """Run; return 1 when a case broke something, after printing it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000, help="of all targets together (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default: %(default)s)")
    parser.add_argument("--target", choices=sorted(seeds()), help="one target alone")
    parser.add_argument("--atheris", action="store_true", help="let atheris, where it is installed, look for cases")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xdevice-fuzz-") as folder, _quiet():
        chosen = {name: target for name, target in targets(folder).items() if options.target in (None, name)}
        if options.atheris:
            return _coverage_guided(chosen, options.cases)
        return max(_run(name, target, options.cases // len(chosen), options.seed) for name, target in chosen.items())


def _run(name: str, target: Target, cases: int, seed: int) -> int:
    """Run cases on one target, and print what came of them."""
    source, seed_of = random.Random(f"{seed} {name}"), seeds()[name]
    outcomes: collections.Counter[str] = collections.Counter()
    signal.signal(signal.SIGALRM, _hang)
    memory, descriptors, began = 0, 0, time.perf_counter()
    for number in range(cases):
        if number == min(WARM_UP, cases // 2):
            memory, descriptors = _memory(), _descriptors()
        case = mutated(seed_of, source)
        signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
        try:
            outcomes[target(case)] += 1
        except BaseException:
            print(f"{name}: case {number} of seed {seed}: {case!r}", flush=True)
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.perf_counter() - began
    grown, left = _memory() - memory, _descriptors() - descriptors
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    print(f"{name}: {cases} cases in {seconds:.0f} s, {cases / seconds:.0f} a second: {told}")
    print(f"{name}: memory grew by {grown >> 10} KiB, {left} descriptors are left", flush=True)
    return int(grown > MAY_GROW or left > 0)


def _hang(number: int, frame: object) -> None:
    raise AssertionError(f"a case took longer than {HANG_SECONDS:g} s")


def _memory() -> int:
    """Return what this process has in memory, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _descriptors() -> int:
    """Return how many descriptors are open, but for the patterns that a worker keeps, one for a byte at most."""
    folder, found = "/proc/self/fd", 0
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):  # the listing's own
            found += "memfd:xdevice-" not in os.readlink(f"{folder}/{name}")
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the complaints of workers, one or more a case, off the terminal; what breaks is printed on stdout."""
    with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):
        yield


def _coverage_guided(chosen: dict[str, Target], cases: int) -> int:
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install --group fuzz, or leave --atheris out")
        return 1
    return fuzz(chosen, cases, HANG_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
