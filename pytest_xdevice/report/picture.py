"""Where in an array the errors of a failed comparison are, in few enough cells for a picture."""

from __future__ import annotations

import math
from dataclasses import asdict
from dataclasses import dataclass
from typing import Any
from typing import Final

import numpy as np
import numpy.typing as npt

from ..compare import Mismatch
from ..compare import mismatch_of

_MOST_ROWS: Final = 64
_MOST_COLUMNS: Final = 128


@dataclass(frozen=True)
class Picture:
    """The errors of an array on a grid of cells, each of which stands for a block of elements.

    Attributes
    ----------
    shape : tuple of int
        The array's. Of more than two dimensions the last two are shown, and a cell has the errors of all others.
    dtype : str
    mismatches : int
        How many elements mismatch.
    block : tuple of (int, int)
        Rows and columns of elements in a cell; those at the end may have fewer.
    counts : tuple of tuple of int
        How many elements mismatch in each cell, by row; one row for an array of one dimension.
    errors : tuple of tuple of (float or None)
        The largest finite absolute error among them; None where no element mismatches, or all by NaN or infinity.
    """

    shape: tuple[int, ...]
    dtype: str
    mismatches: int
    block: tuple[int, int]
    counts: tuple[tuple[int, ...], ...]
    errors: tuple[tuple[float | None, ...], ...]

    @classmethod
    def of(cls, error: BaseException) -> Picture | None:
        """Return the picture of an error of `assert_close`; None for other errors, and for single numbers."""
        found = mismatch_of(error)
        if found is None or not found.actual.ndim:
            return None
        errors = _finite_errors(found)
        *_, rows, columns = 1, *found.actual.shape
        block = math.ceil(rows / _MOST_ROWS), math.ceil(columns / _MOST_COLUMNS)
        counts, worst = _cells(found.wrong, block, np.sum), _cells(errors, block, np.max)
        return cls(
            shape=tuple(map(int, found.actual.shape)),
            dtype=str(found.actual.dtype),
            mismatches=int(found.wrong.sum()),
            block=block,
            counts=tuple(tuple(map(int, row)) for row in counts),
            errors=tuple(tuple(float(value) if value >= 0 else None for value in row) for row in worst),
        )

    @property
    def has_endless(self) -> bool:
        """Whether there is a cell in which all mismatches are by NaN or infinity."""
        rows = zip(self.counts, self.errors, strict=True)
        return any(count and error is None for row in rows for count, error in zip(*row, strict=True))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Picture:
        """Read what `to_json` returned, in this process or another one."""
        counts, errors = (tuple(map(tuple, data[name])) for name in ("counts", "errors"))
        return cls(tuple(data["shape"]), data["dtype"], data["mismatches"], tuple(data["block"]), counts, errors)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def _finite_errors(found: Mismatch) -> npt.NDArray[np.float64]:
    """Return the absolute error of each element that mismatches by a finite one, and -1 for the others."""
    with np.errstate(all="ignore"):
        errors = np.abs(found.actual.astype(np.float64) - found.desired.astype(np.float64))
    return np.where(found.wrong & np.isfinite(errors), errors, -1.0)


def _cells(values: npt.NDArray[Any], block: tuple[int, int], join: Any) -> npt.NDArray[Any]:
    """Return a grid of cells, the values of a block of elements joined into one."""
    plane = join(values.reshape(-1, *values.shape[-2:]), axis=0) if values.ndim > 1 else values.reshape(1, -1)
    return _joined(_joined(plane, 0, block[0], join), 1, block[1], join)


def _joined(plane: npt.NDArray[Any], axis: int, step: int, join: Any) -> npt.NDArray[Any]:
    starts = range(step, plane.shape[axis], step)
    return np.stack([join(part, axis=axis) for part in np.split(plane, starts, axis)], axis)
