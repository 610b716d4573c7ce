"""Hypothesis strategies that draw the arguments of a kernel from its signature. Needs the extra ``hypothesis``."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from typing import Final

import numpy as np
import numpy.typing as npt

from .artifact import is_source
from .artifact import KernelSource
from .artifact import no_kernel
from .errors import ArgumentError
from .kernel.binding import omittable
from .kernel.frontend.promote import integer_range
from .kernel.oracle import poisoned
from .kernel.signature import Param
from .kernel.signature import Signature
from .kernel.types import ArrayType
from .kernel.types import Dim
from .kernel.types import ScalarType

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        f"pytest_xdevice.strategies needs hypothesis ({error}): python -m pip install 'pytest-xdevice[hypothesis]'"
    ) from error

__all__ = ["arguments"]

# One more than four work-groups of 256, and small enough for the interpreter to be the reference.
MAX_SIZE: Final = 1025

# Widths of vectors, work-groups and pages, around which kernels go wrong; below the first, every size is drawn.
_DENSE: Final = 20
_WIDTHS: Final = tuple(1 << power for power in range(5, 25))
_ORDINARY: Final = (23, 29, 37, 47, 61, 97, 101, 199, 307, 503, 701, 1009, 2003, 3001, 10007, 100003)
# How many elements of an array are drawn one by one; the others repeat them in an order without a period.
_DRAWN_ELEMENTS: Final = 24

_Array = npt.NDArray[Any]
Strategy = st.SearchStrategy[Any]


def arguments(
    kernel: KernelSource,
    *,
    min_size: int = 0,
    max_size: int = MAX_SIZE,
    allow_nan: bool = True,
    allow_infinity: bool = True,
    **strategies: Strategy,
) -> st.SearchStrategy[tuple[Any, ...]]:
    """Draw arguments that fit a kernel: ``@given(args=arguments(add_one))``, then ``xdevice.run(add_one, *args)``.

    Sizes are drawn around the widths of vectors and work-groups, values among the special ones of each dtype, small
    numbers, and all others. Examples shrink to few, small sizes and simple values.

    Parameters
    ----------
    kernel : Kernel
        One whose parameters say how large its arrays are.
    min_size : int
        The least extent of a dim.
    max_size : int
        The largest number of elements of an array.
    allow_nan, allow_infinity : bool
        Whether floats may be NaN, or infinite.
    **strategies : hypothesis.strategies.SearchStrategy
        By name, instead of what is drawn by default: of the elements of an array, of a scalar, or of a dim's extent:
        ``arguments(gather, index=st.integers(0, 7), n=st.just(8))``.

    Returns
    -------
    hypothesis.strategies.SearchStrategy of tuple
        The arguments in parameter order, without the `Out` arrays that `Device.run` allocates by itself.

    Raises
    ------
    ArgumentError
        If it is no kernel or does not say how large its arrays are, a size is not possible, or a name is none of its
        own.
    """
    __tracebackhide__ = True
    if not is_source(kernel):
        raise no_kernel(kernel)
    signature = kernel.signature
    _check(signature, min_size, max_size, strategies)
    left_out = omittable(signature)
    params = [param for param in signature.params if param.name not in left_out]
    values = {
        param.name: strategies[param.name]
        if param.name in strategies
        else _values(_scalar_type(param), allow_nan, allow_infinity)
        for param in params
    }
    sizes = {name: strategies[name] for name in signature.dims if name in strategies}
    plan = _Plan(signature, params, min_size, max_size, sizes, values)
    return _drawn(plan)


class _Plan:
    """What is known of a kernel's arguments before anything is drawn."""

    def __init__(
        self,
        signature: Signature,
        params: Sequence[Param],
        min_size: int,
        max_size: int,
        sizes: Mapping[str, Strategy],
        values: Mapping[str, Strategy],
    ) -> None:
        self.dims = signature.dims
        self.makers: list[Callable[[Any, Mapping[str, int]], Any]] = [
            _maker(param, values[param.name]) for param in params
        ]
        self._arrays = [param.type.extents for param in signature.params if isinstance(param.type, ArrayType)]
        self._min_size = min_size
        self._max_size = max_size
        self._given = sizes

    def draw_size(self, draw: Callable[[Strategy], Any], name: str, found: Mapping[str, int]) -> int:
        """Draw the extent of a dim so that no array grows too large, whatever is drawn for the others."""
        if name in self._given:
            return int(draw(self._given[name]))
        limits = [_limit(extents, self._max_size, found) for extents in self._arrays if Dim(name) in extents]
        return int(draw(_sizes(self._min_size, max(self._min_size, min(limits)))))


@st.composite
def _drawn(draw: Callable[[Strategy], Any], plan: _Plan) -> tuple[Any, ...]:
    sizes: dict[str, int] = {}
    names = plan.dims
    if len(names) > 1 and draw(st.booleans()):
        names = names[::-1]  # the first one may be the longest
    for name in names:
        sizes[name] = plan.draw_size(draw, name, sizes)
    return tuple(make(draw, sizes) for make in plan.makers)


def _maker(param: Param, values: Strategy) -> Callable[[Any, Mapping[str, int]], Any]:
    """Return what draws one argument, given the sizes."""
    kind = param.type
    if isinstance(kind, ScalarType):
        make = kind.dtype.type
        return lambda draw, sizes: make(draw(values))
    assert isinstance(kind, ArrayType)
    if kind.mode == "out":
        return lambda draw, sizes: poisoned(_shape(kind, sizes), kind)
    few = st.lists(values, min_size=1, max_size=_DRAWN_ELEMENTS)
    return lambda draw, sizes: _spread(draw(few), _shape(kind, sizes), kind.element.dtype)


def _shape(kind: ArrayType, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes[extent.name] if isinstance(extent, Dim) else extent for extent in kind.extents)


def _spread(few: Sequence[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Array:
    """Return an array that starts with a few elements and goes on with the same in an order that does not repeat."""
    drawn = np.array(few, dtype)
    size = math.prod(shape)
    array = drawn[_order(size) % len(drawn)]
    head = min(size, len(drawn))
    array[:head] = drawn[:head]
    return array.reshape(shape)


@lru_cache(maxsize=64)
def _order(size: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(size).integers(0, 1 << 32, size)


@lru_cache(maxsize=256)
def _sizes(low: int, high: int) -> st.SearchStrategy[int]:
    """Draw sizes from 0 to `high`, at least `low`; smaller ones are simpler."""
    around = [width + step for width in _WIDTHS for step in (-1, 0, 1)]
    table = sorted({*range(_DENSE), *around, *_ORDINARY, low, high})
    return st.sampled_from([size for size in table if low <= size <= high])


def _limit(extents: Sequence[Dim | int], max_size: int, found: Mapping[str, int]) -> int:
    """Return what each dim of an array that is not found yet may be, so that all elements are at most `max_size`."""
    known = [found.get(extent.name) if isinstance(extent, Dim) else extent for extent in extents]
    room = max(1, max_size // max(1, math.prod(size for size in known if size is not None)))
    open_ones = known.count(None)
    root = round(math.pow(room, 1 / open_ones))
    return root if root**open_ones <= room else root - 1


def _values(kind: ScalarType, allow_nan: bool, allow_infinity: bool) -> Strategy:
    """Draw values of a type: special ones, ordinary ones, and any at all."""
    if kind.kind == "bool":
        return st.booleans()
    if kind.is_integer:
        low, high = integer_range(kind)
        special = [0, 1, 2, 3, high, high - 1, low, low + 1, high // 2, high // 2 + 1]
        special += [-1] if low < 0 else []
        return st.sampled_from(special) | st.integers(max(low, -100), 100) | st.integers(low, high)
    width: Any = kind.bits
    every = st.floats(width=width, allow_nan=allow_nan, allow_infinity=allow_infinity)
    ordinary = st.floats(-128, 128, width=width)
    return st.sampled_from(_special_floats(kind, allow_nan, allow_infinity)) | ordinary | every


def _special_floats(kind: ScalarType, allow_nan: bool, allow_infinity: bool) -> list[float]:
    limits = np.finfo(kind.dtype)
    extremes = [limits.tiny, limits.smallest_subnormal, limits.max, limits.eps, 1 + limits.eps]
    special = [0.0, 1.0, -1.0, 0.5, 2.0, -0.0, *(float(value) for value in extremes), -float(limits.max)]
    special += [math.inf, -math.inf] if allow_infinity else []
    return [*special, math.nan] if allow_nan else special


def _scalar_type(param: Param) -> ScalarType:
    kind = param.type.element if isinstance(param.type, ArrayType) else param.type
    assert isinstance(kind, ScalarType)  # _check has refused all others
    return kind


def _check(signature: Signature, min_size: int, max_size: int, strategies: Mapping[str, Strategy]) -> None:
    __tracebackhide__ = True
    for param in signature.params:
        if not isinstance(param.type, (ArrayType, ScalarType)):
            raise ArgumentError(
                f"arguments: {signature.name} does not say how large {param.name} is ({param.type!r}): draw its "
                "arguments with hypothesis.extra.numpy.arrays"
            )
    if not 0 <= min_size <= max_size:
        raise ArgumentError(f"arguments: 0 <= min_size <= max_size does not hold: got {min_size} and {max_size}")
    names = {*(param.name for param in signature.params), *signature.dims} - omittable(signature)
    for name, strategy in strategies.items():
        if name not in names:
            raise ArgumentError(f"arguments: {signature.name} takes no {name!r}: there are {', '.join(sorted(names))}")
        if not isinstance(strategy, st.SearchStrategy):
            raise ArgumentError(
                f"arguments: {name} takes a strategy, such as st.integers(0, 7); got {type(strategy).__name__}"
            )
