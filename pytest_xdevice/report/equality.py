"""What a failed ``assert a == b`` says where one of the two is an array on a device."""

from __future__ import annotations

import sys


def explain_equality(op: str, left: object, right: object) -> list[str] | None:
    """Return the lines of the explanation, or None where there is no such array."""
    module = sys.modules.get("pytest_xdevice.device_array")  # not imported: no array, and no NumPy
    if op != "==" or module is None or not any(isinstance(side, module.DeviceArray) for side in (left, right)):
        return None
    from ..compare import explain_difference

    lines = explain_difference(left, right)
    return [f"{_text(left)} == {_text(right)}", *lines] if lines else None


def _text(value: object) -> str:
    """Return an array in a word or two; the elements that matter follow."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if type(value).__name__ == "ndarray" and shape is not None:
        return f"<array {dtype}{list(shape)}>"
    return repr(value)
