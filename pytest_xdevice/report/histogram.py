"""The errors of a failed comparison by size: how many elements are how many ULP from what they should be."""

from __future__ import annotations

from typing import Any
from typing import Final

import numpy as np
import numpy.typing as npt

from ..compare import Mismatch
from ..compare import mismatch_of
from ..compare import ulp_error

_BAR: Final = 30  # characters of the longest
_LAST_IN_FULL: Final = 20  # 2^20 has 7 digits


def ulp_histogram(error: BaseException) -> list[str]:
    """Return lines with the number of elements at each distance in ULP, in steps of powers of two.

    Parameters
    ----------
    error : BaseException
        What a test failed with.

    Returns
    -------
    list of str
        A heading and a line for each distance that some element has. Empty unless the error is one of `assert_close`
        on floats.
    """
    found = mismatch_of(error)
    if found is None or found.dtype.kind != "f":
        return []
    rows = _rows(found)
    width = max(len(label) for label, _ in rows)
    digits = max(len(str(count)) for _, count in rows)
    most = max(count for _, count in rows)
    lines = [f"    {label:<{width}}  {count:>{digits}}  {_bar(count, most)}" for label, count in rows]
    return [f"  elements by their error in ULP of {found.dtype}:", *lines]


def _rows(found: Mismatch) -> list[tuple[str, int]]:
    """Return what each line counts, and how many elements that are; none without elements."""
    left, right = found.actual, found.desired
    nan_left, nan_right = np.isnan(left), np.isnan(right)
    number = ~nan_left & ~nan_right
    endless = number & (np.isinf(left) | np.isinf(right)) & (left != right)
    errors = ulp_error(left, right)[number & ~endless]
    powers, counts = np.unique(_exponents(errors[errors > 0]), return_counts=True)
    rows = [("0", int((errors == 0).sum()))]
    rows += [(_bound(int(power)), int(count)) for power, count in zip(powers, counts, strict=True)]
    rows += [
        ("infinite", int(endless.sum())),
        ("NaN in one", int((nan_left != nan_right).sum())),
        ("NaN in both", int((nan_left & nan_right).sum())),
    ]
    return [(label, count) for label, count in rows if count]


def _exponents(errors: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Return for each error the least power of two, 1 or more, that it does not exceed."""
    fraction, exponent = np.frexp(np.minimum(errors, np.finfo(np.float64).max))
    return np.asarray(np.maximum(exponent - (fraction == 0.5), 0))


def _bound(power: int) -> str:
    return f"up to {2**power if power <= _LAST_IN_FULL else f'2^{power}'}"


def _bar(count: int, most: int) -> str:
    return "#" * max(1, round(_BAR * count / most))
