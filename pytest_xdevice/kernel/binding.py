"""Checks the arguments of a launch against a kernel's signature, and finds the dims from the arrays' shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from typing import Final
from typing import Union

from ..errors import ArgumentError
from .frontend.promote import integer_range
from .opencl_types import LocalBytes
from .opencl_types import LocalType
from .opencl_types import RecordType
from .opencl_types import VectorType
from .signature import Param
from .signature import Signature
from .types import ArrayType
from .types import Dim
from .types import PointerType
from .types import ScalarType

__tracebackhide__: Final = True  # pytest ends with the line of the test: what is wrong is an argument there

_NO_KEYWORDS: Final[Mapping[str, Any]] = {}
_MISSING: Final = object()


@dataclass(frozen=True)
class Binding:
    """Arguments that fit a signature.

    Attributes
    ----------
    values : tuple
        One entry a parameter, in order: the array that was given, None for an Out array that was left out, or for a
        scalar parameter a `numpy.generic` of its exact type; an array of them for a vector, `LocalBytes` for local
        memory.
    shapes : tuple of (tuple of int or None)
        One entry a parameter, in order: an array's shape, whether given or left out, and None for a scalar.
    dims : dict of str to int
        Every dim of the signature, in its order.
    """

    values: tuple[Any, ...]
    shapes: tuple[tuple[int, ...] | None, ...]
    dims: dict[str, int]


def bind(
    signature: Signature,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any] = _NO_KEYWORDS,
    *,
    allow_missing_out: bool = False,
) -> Binding:
    """Check `arguments` against `signature` and find the dims.

    Parameters
    ----------
    signature : Signature
    arguments : sequence
        Arrays (anything with a NumPy ``dtype`` and ``shape``) and scalars, in the order of the parameters.
    keywords : mapping of str to object
        Arguments by parameter name.
    allow_missing_out : bool
        Whether Out arrays whose extents all follow from the other arrays may be left out, all those that are not
        given by name together.

    Raises
    ------
    ArgumentError
        If count, dtype, dimensions, order or dims do not fit; it names the kernel, the parameter, what came and what
        to write instead.
    """
    return binder(signature).bind(arguments, keywords, allow_missing_out=allow_missing_out)


@lru_cache(maxsize=512)
def binder(signature: Signature) -> Binder:
    """Return the binder of `signature`, for those who launch the same kernel again and again."""
    return Binder(signature)


class Binder:
    """What `bind` does, with all that depends on the signature alone worked out beforehand."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._name = signature.name
        self._names = tuple(param.name for param in signature.params)
        self._dims = signature.dims
        self._plans = tuple(_plan(signature.name, param) for param in signature.params)
        self._omittable = omittable(signature)
        self._required = tuple(name for name in self._names if name not in self._omittable)

    def bind(
        self, arguments: Sequence[Any], keywords: Mapping[str, Any] = _NO_KEYWORDS, *, allow_missing_out: bool = False
    ) -> Binding:
        """Do as `bind` says."""
        if keywords or len(arguments) != len(self._plans):
            arguments = self._arrange(arguments, keywords, allow_missing_out)
        found: dict[str, int] = {}
        values: list[Any] = []
        shapes: list[tuple[int, ...] | None] = []
        for plan, argument in zip(self._plans, arguments, strict=True):
            value, shape = plan.take(argument, found)
            values.append(value)
            shapes.append(shape)
        if len(found) != len(self._dims):
            self._refuse_unbound(found)
        for index, value in enumerate(values):
            if value is _MISSING:
                plan = self._plans[index]
                assert isinstance(plan, _ArrayPlan)
                values[index] = None
                shapes[index] = tuple(found[extent] if isinstance(extent, str) else extent for extent in plan.extents)
        return Binding(tuple(values), tuple(shapes), {name: found[name] for name in self._dims})

    def _arrange(self, arguments: Sequence[Any], keywords: Mapping[str, Any], allow_missing_out: bool) -> list[Any]:
        """Return one argument a parameter, in order, with `_MISSING` for those left out."""
        for name in keywords:
            if name not in self._names:
                raise ArgumentError(f"{self._name} has no parameter {name!r}: it is {self._signature}")
        count = len(arguments) + len(keywords)
        order = self._names
        if allow_missing_out and count < len(self._names):
            order = tuple(name for name in self._names if name in self._required or name in keywords)
        free = [name for name in order if name not in keywords]
        if len(free) != len(arguments):
            raise ArgumentError(self._count_message(count, allow_missing_out))
        given = {**dict(zip(free, arguments, strict=True)), **keywords}
        return [given.get(name, _MISSING) for name in self._names]

    def _count_message(self, count: int, allow_missing_out: bool) -> str:
        wanted = str(len(self._names))
        if allow_missing_out and self._omittable:
            wanted += f" arguments, or {len(self._required)} without {', '.join(sorted(self._omittable))}"
        else:
            wanted += f" argument{'s' * (len(self._names) != 1)}"
        return f"{self._name} takes {wanted}, and got {count}: it is {self._signature}"

    def _refuse_unbound(self, found: Mapping[str, int]) -> None:
        missing = [name for name in self._dims if name not in found]
        raise ArgumentError(
            f"{self._name}: no argument says how large {', '.join(missing)} is: give every array of {self._signature}"
        )


def omittable(signature: Signature) -> frozenset[str]:
    """Return the names of the Out parameters whose extents all follow from other arrays."""
    bound = {
        extent.name
        for param in signature.params
        if isinstance(param.type, ArrayType) and param.type.mode != "out"
        for extent in param.type.extents
        if isinstance(extent, Dim)
    }
    return frozenset(
        param.name
        for param in signature.params
        if isinstance(param.type, ArrayType)
        and param.type.mode == "out"
        and all(isinstance(extent, int) or extent.name in bound for extent in param.type.extents)
    )


def _plan(kernel: str, param: Param) -> _Plan:
    if isinstance(param.type, ArrayType):
        return _ArrayPlan(kernel, param)
    if isinstance(param.type, PointerType):
        return _PointerPlan(kernel, param)
    if isinstance(param.type, VectorType):
        return _VectorPlan(kernel, param.name, param.type)
    if isinstance(param.type, RecordType):
        return _RecordPlan(kernel, param.name, param.type)
    if isinstance(param.type, LocalType):
        return _LocalPlan(kernel, param)
    return _ScalarPlan(kernel, param)


class _Memory:
    """What is checked of every array: its dtype and its order."""

    def __init__(self, kernel: str, name: str, element: ScalarType | None, *, is_signless: bool = False) -> None:
        self._where = f"{kernel}: {name}"
        self._name = name
        self._dtype = element.dtype if element else None
        self._nbytes = element.nbytes if element and is_signless else 0  # of integers whose sign says nothing

    def shape_of(self, argument: Any) -> tuple[int, ...]:
        """Return the shape of an array that fits in all else."""
        try:
            dtype, shape = argument.dtype, argument.shape
        except AttributeError:
            raise ArgumentError(self._not_an_array(argument)) from None
        if dtype is not self._dtype and self._dtype is not None and dtype != self._dtype and not self._may_be(dtype):
            raise ArgumentError(self._wrong_dtype(dtype))
        if hasattr(argument, "filled"):  # by numpy.ma alone, which is not imported for the sake of this
            raise ArgumentError(f"{self._where}: a masked array has elements to skip: pass {self._name}.filled(...)")
        flags = getattr(argument, "flags", None)
        if flags is not None and not flags.c_contiguous:
            raise ArgumentError(
                f"{self._where}: expected a C-contiguous array, got strides {argument.strides} for shape {shape}: "
                f"pass np.ascontiguousarray({self._name})"
            )
        return tuple(shape)

    def _may_be(self, dtype: Any) -> bool:
        """Return whether integers of the other sign, or booleans, are meant as well."""
        return bool(dtype.itemsize == self._nbytes and dtype.kind in "iub" and dtype.isnative)

    def _not_an_array(self, argument: Any) -> str:
        wanted, instead = f"an array of {self._dtype}", f"np.asarray({self._name}, np.{self._dtype})"
        if self._dtype is None:
            wanted, instead = "an array", f"np.asarray({self._name})"
        return f"{self._where}: expected {wanted}, got {type(argument).__name__}: pass {instead}"

    def _wrong_dtype(self, dtype: Any) -> str:
        shown = dtype if getattr(dtype, "isnative", True) else f"{dtype} (not this machine's byte order)"
        return f"{self._where}: expected {self._dtype}, got {shown}: pass {self._name}.astype(np.{self._dtype})"


class _PointerPlan:
    """Checks one array argument of which the kernel alone knows the shape."""

    def __init__(self, kernel: str, param: Param) -> None:
        assert isinstance(param.type, PointerType)
        self._memory = _Memory(kernel, param.name, param.type.element, is_signless=param.type.is_signless)

    def take(self, argument: Any, found: dict[str, int]) -> tuple[Any, tuple[int, ...]]:
        """Return the array and its shape."""
        return argument, self._memory.shape_of(argument)


class _VectorPlan:
    """Checks the few numbers of one vector."""

    def __init__(self, kernel: str, name: str, kind: VectorType) -> None:
        self._where = f"{kernel}: {name}"
        self._lanes = kind.lanes
        self._type = kind
        self._scalar = _ScalarPlan(kernel, Param(name, kind.element))

    def take(self, argument: Any, found: dict[str, int]) -> tuple[Any, None]:
        """Return the numbers as a NumPy array of one dimension."""
        import numpy as np

        given = list(argument) if isinstance(argument, (tuple, list, np.ndarray)) else []
        if len(given) != self._lanes:
            raise ArgumentError(
                f"{self._where}: expected {self._lanes} numbers ({self._type}), got {argument!r}: pass a tuple of them"
            )
        return np.array([self._scalar.take(value, found)[0] for value in given]), None


class _RecordPlan:
    """Checks the size of a structure."""

    def __init__(self, kernel: str, name: str, kind: RecordType) -> None:
        self._where = f"{kernel}: {name}"
        self._nbytes = kind.nbytes

    def take(self, argument: Any, found: dict[str, int]) -> tuple[Any, None]:
        """Return its bytes as a NumPy array."""
        import numpy as np

        data = argument.tobytes() if isinstance(argument, (np.void, np.ndarray)) else argument
        if not isinstance(data, bytes) or len(data) != self._nbytes:
            size = f" of {len(data)} bytes" if isinstance(data, bytes) else ""
            raise ArgumentError(
                f"{self._where}: expected a structure of {self._nbytes} bytes, got {type(argument).__name__}{size}: "
                "pass a record or an array of NumPy with as many, or bytes; np.dtype(..., align=True) leaves room as C "
                "does"
            )
        return np.frombuffer(data, np.uint8), None


class _LocalPlan:
    """Checks how much local memory is given."""

    def __init__(self, kernel: str, param: Param) -> None:
        self._where = f"{kernel}: {param.name}"

    def take(self, argument: Any, found: dict[str, int]) -> tuple[LocalBytes, None]:
        """Return the number of bytes."""
        if isinstance(argument, LocalBytes):
            return argument, None
        if isinstance(argument, int) and not isinstance(argument, bool) and argument > 0:
            return LocalBytes(argument), None
        raise ArgumentError(
            f"{self._where}: expected the size of a work-group's local memory, got {type(argument).__name__}: pass a "
            "positive number of bytes, or local(f32, 16, 16)"
        )


class _ArrayPlan:
    """Checks one array argument."""

    def __init__(self, kernel: str, param: Param) -> None:
        assert isinstance(param.type, ArrayType)
        self._where = f"{kernel}: {param.name}"
        self._name = param.name
        self._type = param.type
        self._memory = _Memory(kernel, param.name, param.type.element)
        self._ndim = param.type.ndim
        self.extents = tuple(extent.name if isinstance(extent, Dim) else extent for extent in param.type.extents)

    def take(self, argument: Any, found: dict[str, int]) -> tuple[Any, tuple[int, ...] | None]:
        """Return the array and its shape, and note the dims that it binds."""
        if argument is _MISSING:
            return argument, None
        shape = self._memory.shape_of(argument)
        if len(shape) != self._ndim:
            raise ArgumentError(
                f"{self._where}: expected {self._ndim} dimension{'s' * (self._ndim > 1)} ({self._type}), "
                f"got shape {shape}: pass {self._name}.reshape(...)"
            )
        for axis, (extent, size) in enumerate(zip(self.extents, shape, strict=True)):
            if isinstance(extent, str):
                if found.setdefault(extent, size) != size:
                    raise ArgumentError(
                        f"{self._where}: expected {extent} = {found[extent]} along axis {axis}, as in the arrays "
                        f"before it, got {size}: pass arrays whose shapes agree"
                    )
            elif extent != size:
                raise ArgumentError(
                    f"{self._where}: expected {extent} along axis {axis} ({self._type}), got {size}: "
                    f"pass an array of that shape"
                )
        return argument, shape


class _ScalarPlan:
    """Checks one scalar argument and converts it to the parameter's type."""

    def __init__(self, kernel: str, param: Param) -> None:
        assert isinstance(param.type, ScalarType)
        self._where = f"{kernel}: {param.name}"
        self._type = param.type
        self._make = param.type.dtype.type
        self._range = integer_range(param.type) if param.type.is_integer else (0, 0)

    def take(self, argument: Any, found: dict[str, int]) -> tuple[Any, None]:
        """Return the argument as a NumPy scalar."""
        if type(argument) is self._make:
            return argument, None
        plain = self._plain(argument)
        if self._type.kind == "bool":
            if not isinstance(plain, bool):
                raise self._refused(argument, "True or False", f"bool({plain})")
        elif self._type.is_integer:
            if isinstance(plain, float):
                raise self._refused(argument, "an integer", f"int({plain})")
            low, high = self._range
            if not low <= plain <= high:
                raise ArgumentError(
                    f"{self._where}: {plain} does not fit in {self._type}, which holds {low} to {high}: "
                    f"pass a smaller number, or widen the parameter"
                )
        return self._converted(plain), None

    def _plain(self, argument: Any) -> bool | int | float:
        import numpy as np

        plain = argument.item() if isinstance(argument, np.generic) else argument
        if not isinstance(plain, (bool, int, float)):
            raise self._refused(argument, "a single number", "a Python or NumPy number")
        return plain

    def _converted(self, plain: float) -> Any:
        import numpy as np

        with np.errstate(over="ignore"):
            try:
                value = self._make(plain)
            except OverflowError:
                value = self._make(math.inf)
        if self._type.is_float and np.isinf(value) and not (isinstance(plain, float) and math.isinf(plain)):
            raise ArgumentError(f"{self._where}: {plain} does not fit in {self._type}: pass a smaller number")
        return value

    def _refused(self, argument: Any, wanted: str, instead: str) -> ArgumentError:
        return ArgumentError(
            f"{self._where}: expected {wanted} ({self._type}), got {type(argument).__name__}: pass {instead}"
        )


_Plan = Union[_ArrayPlan, _PointerPlan, _ScalarPlan, _VectorPlan, _RecordPlan, _LocalPlan]
