"""Comparison of what a device computed with a reference, with a message that helps to find the cause."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import Final

import numpy as np
import numpy.typing as npt

from .poison import is_poison

# Relative and absolute tolerance by dtype: those of torch.testing.assert_close
# (https://docs.pytorch.org/docs/stable/testing.html). Integers and bools have to be equal.
_TOLERANCES: Final = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}

# A sum in any sensible order is off by about eps * sum |a*b| at most, whatever its length; a wrong one by far more.
_SCALED_EPS: Final = 4
_MANY_ULP: Final = 1e6

# Under this name an error has what it is about: pytest shows a class of our own with its module in front.
_FOUND: Final = "_xdevice_mismatch"

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Mismatch:
    """Where two arrays of one shape differ, and how.

    Attributes
    ----------
    actual, desired : numpy.ndarray
    wrong : numpy.ndarray of bool
        Which elements mismatch.
    rtol, atol : float
    dtype : numpy.dtype
        The one whose precision bounds the comparison.
    scale : numpy.ndarray or None
        What `rtol` is of, where that is not `desired`.
    """

    actual: _Array
    desired: _Array
    wrong: npt.NDArray[np.bool_]
    rtol: float
    atol: float
    dtype: np.dtype[Any]
    scale: _Array | None = None

    @property
    def magnitude(self) -> _Array:
        """What the relative tolerance is of."""
        return np.abs(_wide(self.desired if self.scale is None else self.scale))


def assert_close(
    actual: Any,
    desired: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    check_dtype: bool = False,
    scale: Any = None,
) -> None:
    """Fail unless every element of `actual` is within ``atol + rtol * |desired|`` of `desired`.

    With `scale`, within ``atol + rtol * scale``: for sums, whose errors go with what is added up, not with what is
    left of it. ``scale=np.abs(a) @ np.abs(b)`` goes with ``a @ b``.

    Parameters
    ----------
    actual : array_like
        What the device computed: a NumPy array, a device array, or anything that `numpy.asarray` takes.
    desired : array_like
        The reference, of the same shape or a single number.
    rtol, atol : float, optional
        Relative and absolute tolerance. By default those of the less precise of the two dtypes: float16
        1e-3 and 1e-5, float32 1.3e-6 and 1e-5, float64 1e-7 and 1e-7; integers and bools have to be equal.
        With `scale`, four times the dtype's machine epsilon, and 0.
    equal_nan : bool
        Whether NaN equals NaN.
    check_dtype : bool
        Whether the dtypes have to be the same. Off by default: references are often computed in float64.
    scale : array_like, optional
        The sum of the magnitudes that were added up for each element; it is broadcast to the shape of `actual`.

    Raises
    ------
    AssertionError
        If elements, shapes or (with `check_dtype`) dtypes differ. The message says how many elements
        mismatch, the worst one with its index, both values and the error in ULP.
    TypeError
        If an argument holds neither bools, integers nor real floats.
    ValueError
        If a tolerance is negative or NaN, or `scale` does not fit.
    """
    __tracebackhide__ = True
    given = _as_array(actual, "actual"), _as_array(desired, "desired")
    left, right = given
    if check_dtype and left.dtype != right.dtype:
        raise AssertionError(f"dtypes differ: actual is {left.dtype}, desired is {right.dtype}")
    if left.shape != right.shape and right.ndim:
        raise AssertionError(
            f"shapes differ: actual is {_array_text(left)}, desired is {_array_text(right)}"
            + (" (the same number of elements: is a reshape missing?)" if left.size == right.size else "")
        )
    dtype = _coarser(left.dtype, right.dtype)
    magnitudes = None if scale is None else _scale(scale, left, dtype)
    default_rtol, default_atol = _TOLERANCES.get(dtype.name, (0.0, 0.0))
    if magnitudes is not None:
        default_rtol, default_atol = _SCALED_EPS * float(np.finfo(dtype).eps), 0.0
    rtol = _tolerance("rtol", default_rtol if rtol is None else rtol)
    atol = _tolerance("atol", default_atol if atol is None else atol)
    right = np.broadcast_to(right, left.shape)
    found = Mismatch(left, right, np.zeros(left.shape, bool), rtol, atol, dtype, magnitudes)
    wrong = ~_close(found, equal_nan)
    if left.dtype.kind == "b":
        wrong |= is_poison(left)  # which NumPy takes for True
    if wrong.any():
        raise _error(replace(found, wrong=wrong))


def mismatch_of(error: BaseException) -> Mismatch | None:
    """Return what an error of `assert_close` is about; None for other errors, and where shapes or dtypes differ."""
    return error.__dict__.get(_FOUND)


def difference(actual: Any, desired: Any) -> AssertionError | TypeError | None:
    """Return the error that says in what two arrays are not equal, element by element; None where they are."""
    try:
        assert_close(actual, desired, rtol=0, atol=0, equal_nan=False)
    except (AssertionError, TypeError) as error:
        return error
    return None


def ulp_error(actual: Any, desired: Any) -> npt.NDArray[np.float64]:
    """Return the error of each element in units in the last place of the less precise of the two dtypes.

    One ULP is the gap between `desired`, rounded to that dtype, and the next larger magnitude (Goldberg,
    "What every computer scientist should know about floating-point arithmetic", 1991, section 1.2).

    Parameters
    ----------
    actual, desired : array_like
        Real floats, of shapes that broadcast.

    Returns
    -------
    numpy.ndarray of float64
        ``|actual - desired| / ulp(desired)``: 0 where both are the same infinity or both NaN, inf where
        only one is infinite, NaN where only one is NaN.

    Raises
    ------
    TypeError
        If neither argument holds floats.
    """
    left, right = np.broadcast_arrays(_as_array(actual, "actual"), _as_array(desired, "desired"))
    dtype = _coarser(left.dtype, right.dtype)
    if dtype.kind != "f":
        raise TypeError(f"ulp_error compares floats; got {left.dtype} and {right.dtype}")
    with np.errstate(all="ignore"):
        wide_left, wide_right = left.astype(np.longdouble), right.astype(np.longdouble)
        limits = np.finfo(dtype)
        # Beyond the largest finite number the gap is taken to be the one just below it.
        rounded = np.clip(np.abs(wide_right), 0, np.longdouble(limits.max)).astype(dtype)
        gap = np.minimum(np.spacing(rounded), np.spacing(np.nextafter(limits.max, dtype.type(0))))
        error = np.abs(wide_left - wide_right) / gap.astype(np.longdouble)
        error = np.where(np.isinf(wide_left) != np.isinf(wide_right), np.inf, error)
        same = (wide_left == wide_right) | (np.isnan(wide_left) & np.isnan(wide_right))
        error = np.where(np.isnan(wide_left) != np.isnan(wide_right), np.nan, error)
        return np.asarray(np.where(same, 0.0, error), np.float64)


def _as_array(value: Any, role: str) -> _Array:
    __tracebackhide__ = True
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"assert_close compares bools, integers and real floats; {role} is {_array_text(array)}")
    return array


def _tolerance(name: str, value: float) -> float:
    __tracebackhide__ = True
    if not value >= 0:
        raise ValueError(f"{name} is a number of 0 or more; got {value!r}")
    return float(value)


def _coarser(left: np.dtype[Any], right: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype whose precision bounds the comparison: the smaller float, or the common integer."""
    floats = [dtype for dtype in (left, right) if dtype.kind == "f"]
    if not floats:
        return left
    return np.dtype(f"f{min(dtype.itemsize for dtype in floats)}")


def _scale(scale: Any, actual: _Array, dtype: np.dtype[Any]) -> _Array:
    __tracebackhide__ = True
    array = _as_array(scale, "scale")
    if dtype.kind != "f":
        raise ValueError(f"scale is for floats, which sums round; integers such as {dtype} have to be equal")
    try:
        broadcast = np.broadcast_to(array, actual.shape)
    except ValueError:
        raise ValueError(f"scale is {_array_text(array)}, and does not fit {_array_text(actual)}") from None
    if (array < 0).any():
        raise ValueError("scale is negative somewhere: it is a sum of magnitudes, such as np.abs(a) @ np.abs(b)")
    return broadcast


def _close(found: Mismatch, equal_nan: bool) -> npt.NDArray[np.bool_]:
    left, right, rtol, atol = found.actual, found.desired, found.rtol, found.atol
    equal = np.asarray(left == right)
    if left.dtype.kind in "biu" and right.dtype.kind in "biu" and not rtol and not atol:
        return equal
    with np.errstate(all="ignore"):
        difference = _difference(left, right)
        magnitude = found.magnitude
        allowed = atol + rtol * magnitude
        close = equal | ((difference <= allowed) & np.isfinite(magnitude) & np.isfinite(difference))
    if equal_nan:
        close |= _is(np.isnan, left) & _is(np.isnan, right)
    return np.asarray(close)


def _difference(left: _Array, right: _Array) -> _Array:
    """Return the absolute difference, free of the overflow and rounding of the arrays' own dtypes."""
    with np.errstate(all="ignore"):
        return np.asarray(np.abs(_wide(left) - _wide(right)))


def _wide(array: _Array) -> _Array:
    """Return an array in float64, or in what is wider where float64 does not hold its values."""
    exact = array.dtype.itemsize < 8 or array.dtype == np.float64
    return array.astype(np.float64 if exact else np.longdouble, copy=False)


def _is(predicate: Any, array: _Array) -> npt.NDArray[np.bool_]:
    """Apply `numpy.isnan` or `numpy.isinf`, which integers never are."""
    return np.asarray(predicate(array)) if array.dtype.kind == "f" else np.zeros(array.shape, bool)


def _error(found: Mismatch) -> AssertionError:
    error = AssertionError(_message(found))
    error.__dict__[_FOUND] = found
    return error


def _message(found: Mismatch) -> str:
    count, size = int(found.wrong.sum()), found.wrong.size
    tolerance = (
        f"within rtol={found.rtol:g}, atol={found.atol:g} ({found.dtype})" if found.rtol or found.atol else "equal"
    )
    if found.scale is not None:
        tolerance = tolerance.replace(f"rtol={found.rtol:g}", f"rtol={found.rtol:g} of scale")
    if not found.actual.ndim:
        lines = [f"numbers are not {tolerance}"]
    else:
        elements = f"{count} of {size} elements of {_array_text(found.actual)}"
        lines = [f"arrays are not {tolerance}: {elements} mismatch ({_percent(count, size)})"]
    lines += _worst(found)
    lines += _special(found)
    lines += _unwritten(found)
    return "\n".join(lines)


def _worst(found: Mismatch) -> list[str]:
    """Describe the mismatch that exceeds its tolerance most, among the finite ones."""
    finite = found.wrong & np.isfinite(found.actual) & np.isfinite(found.desired)
    if not finite.any():
        return []
    with np.errstate(all="ignore"):
        difference = _difference(found.actual, found.desired)
        allowed = found.atol + found.rtol * found.magnitude
        excess = np.where(finite, difference - allowed, -1)
    index = np.unravel_index(int(np.argmax(excess)), found.actual.shape)
    actual, desired = found.actual[index], found.desired[index]
    lines = [f"  worst element: {_index_text(index)}"] if index else []
    lines += [f"    actual   {actual!s}", f"    desired  {desired!s}"]
    if found.actual.dtype.kind in "biu" and found.desired.dtype.kind in "biu":
        exact = abs(int(actual) - int(desired))
        relative = f", relative {exact / abs(int(desired)):.3g}" if desired else ""
        return [*lines, f"    error    {exact}{relative}"]
    error = float(difference[index])
    relative = f", relative {error / abs(float(desired)):.3g}" if desired else ""
    if found.scale is not None and found.scale[index]:
        scaled = error / (float(np.finfo(found.dtype).eps) * float(found.scale[index]))
        relative += f", {scaled:.4g} eps of the scale {found.scale[index]:.6g}"
    ulp = float(ulp_error(actual, desired))
    # Beside 0 it counts denormals, which says something of few of them alone.
    distance = f", {ulp:.4g} ULP" if np.isfinite(ulp) and (desired or ulp < _MANY_ULP) else ""
    return [*lines, f"    error    {error:.6g} (allowed {float(allowed[index]):.3g}){relative}{distance}"]


def _special(found: Mismatch) -> list[str]:
    """Describe mismatches in which NaN or infinity takes part, each kind by itself."""
    nan_left, nan_right = _is(np.isnan, found.actual), _is(np.isnan, found.desired)
    inf_left, inf_right = _is(np.isinf, found.actual), _is(np.isinf, found.desired)
    number = found.wrong & ~nan_left & ~nan_right
    kinds = (
        ("NaN in actual only", found.wrong & nan_left & ~nan_right),
        ("NaN in desired only", found.wrong & ~nan_left & nan_right),
        ("NaN in both, and equal_nan is off", found.wrong & nan_left & nan_right),
        ("infinity in actual only", number & inf_left & ~inf_right),
        ("infinity in desired only", number & ~inf_left & inf_right),
        ("infinities of opposite sign", number & inf_left & inf_right),
    )
    lines = []
    for text, where in kinds:
        if where.any():
            index = np.unravel_index(int(np.argmax(where)), where.shape)
            values = f"actual {found.actual[index]!s}, desired {found.desired[index]!s}"
            place = f": {int(where.sum())}, the first at {_index_text(index)}" if index else ""
            lines.append(f"  {text}{place} ({values})")
    return lines


def _unwritten(found: Mismatch) -> list[str]:
    """Say which mismatches hold what memory on a device holds until it is written."""
    where = found.wrong & is_poison(found.actual)
    if not where.any():
        return []
    index = np.unravel_index(int(np.argmax(where)), where.shape)
    place = f": {int(where.sum())}, the first at {_index_text(index)}" if index else ""
    return [
        f"  never written{place}: what memory on a device holds until a kernel writes it, or a float computed from that"
    ]


def _array_text(array: _Array) -> str:
    return f"{array.dtype}[{', '.join(str(extent) for extent in array.shape)}]"


def _index_text(index: tuple[Any, ...]) -> str:
    return f"[{', '.join(str(int(part)) for part in index)}]"


def _percent(count: int, size: int) -> str:
    share = 100 * count / size
    return f"{share:.3g} %"
