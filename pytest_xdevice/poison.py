"""What memory on a device holds until it is written, and how to know it again."""

from __future__ import annotations

from typing import Any
from typing import Final

import numpy as np
import numpy.typing as npt

_FLOAT: Final = 0xFF  # every byte of it: a NaN in any width, and none that arithmetic makes by itself
_OTHER: Final = 0xA5
_WIDEST: Final = 8  # bytes of an element of any type of the language


def poison(dtype: np.dtype[Any]) -> int:
    """Return the byte that fills an array which nobody has written yet."""
    return _FLOAT if dtype.kind == "f" else _OTHER


def is_poison(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which elements are poison, bit for bit; an array of the same shape."""
    width = values.dtype.itemsize
    if width > _WIDEST:
        return np.zeros(values.shape, bool)
    pattern = int.from_bytes(bytes([poison(values.dtype)]) * width, "little")
    return np.asarray(np.ascontiguousarray(values).view(f"u{width}") == pattern).reshape(values.shape)
