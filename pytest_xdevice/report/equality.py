"""What a failed ``assert a == b`` says where one of the two is an array on a device."""

from __future__ import annotations

import sys


def explain_equality(op: str, left: object, right: object, *, detailed: bool) -> list[str] | None:
    """Return the lines of the explanation, with a histogram where it is to be detailed; None without such an array."""
    module = sys.modules.get("pytest_xdevice.device_array")  # not imported: no array, and no NumPy
    if op != "==" or module is None or not any(isinstance(side, module.DeviceArray) for side in (left, right)):
        return None
    from ..compare import difference
    from .histogram import ulp_histogram

    heading = f"{_text(left)} == {_text(right)}"
    if _is_number(left) or _is_number(right):
        return [heading, "an array equals one of its shape, and no number; xdevice.assert_close takes a number as well"]
    error = difference(left, right)
    if error is None:
        return None
    if isinstance(error, TypeError):
        return [heading, "an array equals arrays of bools, integers and real floats alone"]
    details = ulp_histogram(error) if detailed else []
    return [heading, *str(error).splitlines(), *details]


def _is_number(value: object) -> bool:
    import numpy as np

    return isinstance(value, (bool, int, float, np.number, np.bool_))


def _text(value: object) -> str:
    """Return an array in a word or two; the elements that matter follow."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if type(value).__name__ == "ndarray" and shape is not None:
        return f"<array {dtype}{list(shape)}>"
    return repr(value)
