"""The language's types: scalars, array parameters and the dims that name their extents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any
from typing import Final
from typing import Literal
from typing import TYPE_CHECKING
from typing import Union

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["bool", "int", "uint", "float"]
Mode = Literal["in", "out", "inout"]


@dataclass(frozen=True)
class ScalarType:
    """A scalar type of the language.

    Attributes
    ----------
    name : str
        Its spelling in annotations and casts: ``"f32"``, ``"bool_"``.
    kind : {"bool", "int", "uint", "float"}
    bits : int
        Width in an array; ``bool_`` takes 8, as in NumPy.
    """

    name: str
    kind: Kind
    bits: int

    def __call__(self, value: Any) -> Any:
        """Cast `value` with the language's rules (floats to integers saturate, NaN becomes 0, integers wrap).

        Returns
        -------
        numpy.generic
            The same value that ``f32(x)`` gives inside a kernel.
        """
        from .scalar_operations import cast_value

        return cast_value(value, self)

    def __repr__(self) -> str:
        return self.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the same layout, in the machine's byte order."""
        import numpy as np

        return np.dtype(_DTYPE_NAMES[self.name])

    @property
    def dtype_name(self) -> str:
        """The NumPy dtype's name, such as ``"float32"``."""
        return _DTYPE_NAMES[self.name]

    @property
    def nbytes(self) -> int:
        """Bytes of one element in an array."""
        return self.bits // 8

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        return self.kind in ("int", "uint")

    @property
    def is_signed(self) -> bool:
        return self.kind == "int"


bool_: Final = ScalarType("bool_", "bool", 8)
i8: Final = ScalarType("i8", "int", 8)
i16: Final = ScalarType("i16", "int", 16)
i32: Final = ScalarType("i32", "int", 32)
i64: Final = ScalarType("i64", "int", 64)
u8: Final = ScalarType("u8", "uint", 8)
u16: Final = ScalarType("u16", "uint", 16)
u32: Final = ScalarType("u32", "uint", 32)
u64: Final = ScalarType("u64", "uint", 64)
f16: Final = ScalarType("f16", "float", 16)
f32: Final = ScalarType("f32", "float", 32)
f64: Final = ScalarType("f64", "float", 64)

SCALARS: Final[dict[str, ScalarType]] = {
    t.name: t for t in (bool_, i8, i16, i32, i64, u8, u16, u32, u64, f16, f32, f64)
}

_DTYPE_NAMES: Final = {
    "bool_": "bool", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
    "f16": "float16", "f32": "float32", "f64": "float64",
}  # fmt: skip
_BY_DTYPE_NAME: Final = {dtype: SCALARS[name] for name, dtype in _DTYPE_NAMES.items()}


def scalar_of_dtype(dtype: Any) -> ScalarType | None:
    """Return the scalar type with the layout of a NumPy dtype, or None when the language has none."""
    import numpy as np

    found = np.dtype(dtype)
    return _BY_DTYPE_NAME.get(found.name) if found.isnative else None


@dataclass(frozen=True)
class Dim:
    """A named extent, bound at launch from the shapes of the arrays that carry it."""

    name: str

    def __repr__(self) -> str:
        return self.name

    def _compute(self, _: object) -> Any:
        """Refuse ``In[f32, n + 1]``, which a launch would have to solve for n."""
        __tracebackhide__ = True
        raise TypeError(
            f"{self} is a dim, and an extent is a dim or an integer: give this one a dim of its own, such as "
            f"dim('{self}_more'), and compute with both in the kernel"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _compute
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _compute


def dim(name: str) -> Dim:
    """Name an extent: ``n = dim("n")``, then ``In[f32, n]``.

    Raises
    ------
    ValueError
        If `name` is no Python identifier.
    """
    if not isinstance(name, str) or not name.isidentifier() or iskeyword(name):
        raise ValueError(f"dim() takes a Python identifier, such as dim('n'); got {name!r}")
    return Dim(name)


Extent = Union[Dim, int]


@dataclass(frozen=True)
class ArrayType:
    """The type of an array parameter: element type, extents (outermost first, C-contiguous) and direction."""

    element: ScalarType
    extents: tuple[Extent, ...]
    mode: Mode

    @property
    def ndim(self) -> int:
        return len(self.extents)

    def __repr__(self) -> str:
        mode = {"in": "In", "out": "Out", "inout": "InOut"}[self.mode]
        return f"{mode}[{', '.join(repr(part) for part in (self.element, *self.extents))}]"


@dataclass(frozen=True)
class LocalArray:
    """An array that a kernel makes for itself: of constant extents, outermost first, C-contiguous.

    Attributes
    ----------
    space : {"private", "shared"}
        Who has one: each iteration of a parallel loop (or the part of the kernel that runs once), or each work-group.
    """

    element: ScalarType
    extents: tuple[int, ...]
    space: Literal["private", "shared"]

    @property
    def ndim(self) -> int:
        return len(self.extents)

    @property
    def nbytes(self) -> int:
        """Bytes of one such array."""
        return math.prod(self.extents) * self.element.nbytes

    def __repr__(self) -> str:
        return f"{self.space}({', '.join(map(repr, (self.element, *self.extents)))})"


AnyArray = Union[ArrayType, LocalArray]


@dataclass(frozen=True)
class PointerType:
    """The type of an array parameter of a kernel in another language: its own code knows the shape, so that any fits.

    Attributes
    ----------
    element : ScalarType or None
        None for bytes that only the kernel can tell: an array of any dtype fits.
    mode : {"in", "out", "inout"}
    is_signless : bool
        Whether integers of either sign fit: LLVM IR does not tell them apart.
    """

    element: ScalarType | None
    mode: Mode
    is_signless: bool = False

    def __repr__(self) -> str:
        return f"{'const ' * (self.mode == 'in')}{self.element or 'void'} *"


class _Direction:
    """What `In`, `Out` and `InOut` share: subscripting makes the type of an array parameter."""

    _mode: Mode

    def __class_getitem__(cls, parts: Any) -> ArrayType:
        __tracebackhide__ = True
        element, *extents = parts if isinstance(parts, tuple) else (parts,)
        if not isinstance(element, ScalarType):
            raise TypeError(f"{cls.__name__}[...] starts with a type such as f32; got {element!r}")
        if not 1 <= len(extents) <= 3:
            advice = "" if extents else f": write {cls.__name__}[{element}, n], and {element} alone for a scalar"
            raise TypeError(f"{cls.__name__}[{element}, ...] takes 1 to 3 extents; got {len(extents)}{advice}")
        for extent in extents:
            if not isinstance(extent, Dim) and not (isinstance(extent, int) and extent >= 0):
                raise TypeError(f"an extent is a dim('n') or a non-negative integer; got {extent!r}")
        return ArrayType(element, tuple(extents), cls._mode)


if TYPE_CHECKING:
    # For a type checker the element type and the extents say nothing: an array is anything.
    from typing import Annotated

    In = InOut = Out = Annotated
else:

    class In(_Direction):
        """An array that the kernel reads: ``In[f32, n]``."""

        _mode = "in"

    class Out(_Direction):
        """An array that the kernel writes in full: ``Out[f32, n]``."""

        _mode = "out"

    class InOut(_Direction):
        """An array that the kernel reads and writes: ``InOut[f32, n]``."""

        _mode = "inout"
