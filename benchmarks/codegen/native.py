"""Our kernels against C on this machine's CPU: all of it in one process, by one timing loop, in turns."""

from __future__ import annotations

import ctypes
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

import numpy as np

from pytest_xdevice.compile import Compiler
from pytest_xdevice.kernel.kernel import Kernel
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.target import Target

from .cases import Arguments
from .cases import Case
from .cases import cases
from .cases import Sizes
from .compilers import CCompiler
from .compilers import gcc
from .compilers import newest_clang

_BATCH_NANOSECONDS: Final = 200_000
# Arrays start at different places of a page: a load just behind a store to the same place of another page is slow.
_STAGGER: Final = 1088
SIZES: Final = Sizes(2051, 2051, (48, 67), (48, 67), (32, 40), (48, 48, 67))


@dataclass(frozen=True)
class Comparison:
    """One kernel's figures.

    Attributes
    ----------
    ours : float
        Nanoseconds a call, the least of all batches.
    theirs : tuple of float
        The same for each compiler.
    median_ratios : tuple of float
        Median over the rounds of their time by ours.
    """

    name: str
    ours: float
    theirs: tuple[float, ...]
    median_ratios: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Their least time by ours: above 1 where our code is the faster."""
        return tuple(other / self.ours for other in self.theirs)


def packed(kernel: Kernel, arguments: Arguments) -> tuple[Any, list[np.ndarray]]:
    """Return ``void *args[]`` for a launch on copies of `arguments`, and the copies."""
    dims: dict[str, int] = {}
    copies: list[np.ndarray] = []
    for param, argument in zip(kernel.signature.params, arguments, strict=True):
        if isinstance(param.type, ArrayType):
            named = zip(param.type.extents, argument.shape, strict=True)
            dims.update((extent.name, size) for extent, size in named if isinstance(extent, Dim))
        copies.append(_placed(np.asarray(argument), len(copies)))
    copies += [np.array(dims[name], np.int64) for name in kernel.signature.dims]
    return (ctypes.c_void_p * len(copies))(*(copy.ctypes.data for copy in copies)), copies


def _placed(values: np.ndarray, position: int) -> np.ndarray:
    """Return a copy that starts on a cache line, at another place of its page for each `position`."""
    block = np.zeros(values.nbytes + 8192 + _STAGGER * position, np.uint8)
    start = -block.ctypes.data % 4096 + _STAGGER * position // 64 * 64
    copy = block[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


class Bench:
    """The libraries under comparison: one of ours a kernel, two of each compiler."""

    def __init__(self, folder: Path, compilers: Sequence[CCompiler]) -> None:
        self._folder = folder
        self._compiler = Compiler(folder / "cache")
        path = self._compiler.timing_loop(Target.host()).save(folder / "timing_loop.so")
        self._loop = ctypes.CDLL(str(path)).xd_time
        self._loop.restype = ctypes.c_int64
        self._peers = [
            {fast: ctypes.CDLL(str(c.library(folder / f"{c.name}-{fast}.so", fast=fast))) for fast in (False, True)}
            for c in compilers
        ]

    def compare(self, case: Case, rounds: int) -> Comparison:
        """Measure one case.

        Raises
        ------
        AssertionError
            If the two sides do not compute the same.
        """
        library, loop = self._ours(case), self._loop
        functions = [getattr(library, f"xd_{case.kernel.name}")]
        functions += [getattr(peer[case.is_fast], f"c_{case.kernel.name}") for peer in self._peers]
        # On the same arrays: where they lie in memory alone can cost a tenth.
        slots, _keep = packed(case.kernel, case.arguments(np.random.default_rng(0)))

        def nanoseconds(function: Any, calls: int) -> float:
            return float(loop(ctypes.cast(function, ctypes.c_void_p), slots, ctypes.c_int64(calls))) / calls

        calls = [1] * len(functions)
        for _ in range(2):  # the first call is slow
            pairs = zip(functions, calls, strict=True)
            calls = [max(1, int(_BATCH_NANOSECONDS / nanoseconds(*pair))) for pair in pairs]
        samples = [list(map(nanoseconds, functions, calls)) for _ in range(rounds)]
        self._check(case, functions)
        mine, *others = (list(column) for column in zip(*samples, strict=True))
        ratios = [[theirs / ours for theirs, ours in zip(other, mine, strict=True)] for other in others]
        return Comparison(case.name, min(mine), tuple(map(min, others)), tuple(map(statistics.median, ratios)))

    def _ours(self, case: Case) -> Any:
        path = self._folder / f"{case.kernel.name}-{case.is_fast}.so"
        self._compiler.build(case.kernel, Target.host()).save(path)
        return ctypes.CDLL(str(path))

    @staticmethod
    def _check(case: Case, functions: Sequence[Any]) -> None:
        """Compare what one call of each gives: to the bit where no arithmetic may be reordered."""
        arguments = case.arguments(np.random.default_rng(0))
        results = []
        for function in functions:
            slots, arrays = packed(case.kernel, arguments)
            function(slots)
            results.append(arrays)
        uses_libm = case.kernel.name == "softmax" or case.kernel.name.endswith("_of_each")
        tolerance = 1e-4 if case.is_fast else 1e-6 if uses_libm else 0
        for theirs in results[1:]:
            for ours, other in zip(results[0], theirs, strict=True):
                np.testing.assert_allclose(ours, other, rtol=tolerance, atol=tolerance, err_msg=case.name)


def compare_all(folder: Path, rounds: int, chosen: str) -> None:
    """Print the table of every case whose name contains `chosen`."""
    compilers = [found for found in (newest_clang(), gcc()) if found]
    print("ours against " + " and ".join(map(str, compilers)) + "; ratios above 1: ours is the faster")
    titles = "".join(f"{compiler.name:>12} {'ratio':>7} {'median':>7}" for compiler in compilers)
    print(f"{'nanoseconds a call':<22}{'ours':>12}{titles}")
    bench = Bench(folder, compilers)
    comparisons = []
    for case in cases(SIZES):
        if chosen in case.name or chosen in case.kernel.name:
            comparisons.append(bench.compare(case, rounds))
            print(_line(comparisons[-1]), flush=True)
    for number, compiler in enumerate(compilers):
        ratios = [comparison.ratios[number] for comparison in comparisons]
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        print(f"against {compiler}: geometric mean {mean:.3f}, least {min(ratios):.3f}")


def _line(figures: Comparison) -> str:
    peers = zip(figures.theirs, figures.ratios, figures.median_ratios, strict=True)
    columns = "".join(f"{theirs:>12.1f} {ratio:>7.3f} {median:>7.3f}" for theirs, ratio, median in peers)
    return f"{figures.name:<22}{figures.ours:>12.1f}{columns}"
