"""What has a meaning only inside of a kernel: loops, arrays and operations that Python itself does not run."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import Any
from typing import Final

from .ir import AtomicOp
from .types import ScalarType


def parallel(*extents: Any, block: Any = None) -> Iterator[Any]:
    """Loop over independent iterations: ``for i in parallel(n)``, ``for i, j in parallel(m, n, block=(8, 8))``.

    Parameters
    ----------
    *extents : int or range
        One to three numbers of iterations, or ``range(start, stop, step)`` with a constant step, outermost first; the
        last variable runs fastest. They may use dims, ``a.shape[k]``, scalar parameters, integer literals,
        ``+ - * // %``, `min` and `max`.
    block : int or tuple of int, optional
        Iterations in a work-group, one number for each extent. It need not divide the number of iterations.

    Raises
    ------
    TypeError
        Whenever Python itself runs it: it has a meaning only in a kernel.
    """
    raise TypeError(
        "parallel(...) has a meaning only inside a @kernel: there, write 'for i in parallel(n):'. "
        "To run a kernel in Python, call its .python(...)."
    )


def barrier() -> None:
    """Wait until every item of the work-group has come here; what they wrote before is seen by all after it.

    Raises
    ------
    TypeError
        Whenever Python itself runs it: it has a meaning only in a kernel.
    """
    raise TypeError("barrier() has a meaning only inside a @kernel, in a 'parallel(..., block=...)' loop.")


def private(element: ScalarType, *extents: int) -> Any:
    """Make an array of zeros that belongs to one iteration of a parallel loop: ``acc = private(f32, 8)``.

    Parameters
    ----------
    element : ScalarType
        The type of its elements.
    *extents : int
        One to three constant extents, outermost first.

    Raises
    ------
    TypeError
        Whenever Python itself runs it: it has a meaning only in a kernel.
    """
    raise TypeError("private(...) has a meaning only inside a @kernel: there, write 'acc = private(f32, 8)'.")


def shared(element: ScalarType, *extents: int) -> Any:
    """Make an array that the items of a work-group share: ``tile = shared(f32, 16, 17)``; what it holds is undefined.

    Parameters
    ----------
    element : ScalarType
        The type of its elements.
    *extents : int
        One to three constant extents, outermost first.

    Raises
    ------
    TypeError
        Whenever Python itself runs it: it has a meaning only in a kernel.
    """
    raise TypeError(
        "shared(...) has a meaning only inside a @kernel: there, write 'tile = shared(f32, 256)' in a "
        "'parallel(..., block=...)' loop."
    )


def atomic_add(element: Any, value: Any) -> Any:
    """Add to an element while others may do so too, and return what it was: ``old = atomic_add(a[i], 1)``.

    Parameters
    ----------
    element : element of an InOut or shared array of i32, u32, i64, u64, f32 or f64
    value : number

    Raises
    ------
    TypeError
        Whenever Python itself runs it: it has a meaning only in a kernel.
    """
    raise _outside("atomic_add(a[i], 1)")


def atomic_min(element: Any, value: Any) -> Any:
    """Make an element the lesser of itself and `value`, and return what it was; else as `atomic_add`."""
    raise _outside("atomic_min(a[i], x)")


def atomic_max(element: Any, value: Any) -> Any:
    """Make an element the greater of itself and `value`, and return what it was; else as `atomic_add`."""
    raise _outside("atomic_max(a[i], x)")


def atomic_cas(element: Any, expected: Any, desired: Any) -> Any:
    """Make an element `desired` where it is `expected`, bit by bit, and return what it was; else as `atomic_add`."""
    raise _outside("atomic_cas(a[i], 0, 1)")


def _outside(example: str) -> TypeError:
    return TypeError(f"this has a meaning only inside a @kernel: there, write 'old = {example}'.")


ATOMICS: Final[dict[Any, AtomicOp]] = {atomic_add: "add", atomic_min: "min", atomic_max: "max", atomic_cas: "cas"}


def is_atomic(callee: Any) -> bool:
    """Tell whether `callee` is one of the atomic operations."""
    return isinstance(callee, FunctionType) and callee in ATOMICS
