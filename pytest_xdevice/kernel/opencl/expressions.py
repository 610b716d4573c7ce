"""Print legal expressions as OpenCL C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Cast
from pytest_xdevice.kernel.ir import Compare
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import DimValue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Load
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Select
from pytest_xdevice.kernel.ir import Unary
from pytest_xdevice.kernel.passes.small_integers import SmallIntegers
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.kernel.types import f16
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType

from .mathtable import C_TYPES
from .mathtable import MathFunctions
from .spelling import c_name
from .spelling import literal
from .spelling import wrapped

_OPERATORS: Final = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "sdiv": "/", "udiv": "/", "srem": "%", "urem": "%",
    "and": "&", "or": "|", "xor": "^", "shl": "<<", "ashr": ">>", "lshr": ">>",
}  # fmt: skip
_COMPARISONS: Final = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_BOOL_OPERATORS: Final = {"and": "&&", "or": "||", "xor": "!="}
# In C these overflow without a meaning when signed, so they are done unsigned.
_WRAPPING: Final = frozenset({"add", "sub", "mul", "shl"})

Place = tuple[str, str]  # a pointer, and the index from it


class ExpressionPrinter:
    """Prints the expressions of one ``__kernel``.

    Parameters
    ----------
    ir : KernelIR
        After `legalise`.
    small : SmallIntegers
        Which of its integers a small launch counts with 32 bits.
    functions : MathFunctions
        Gets what is called.

    Attributes
    ----------
    registers : callable
        Returns where an element of an array is while it is held in registers, or None; none are by default.
    """

    def __init__(self, ir: KernelIR, small: SmallIntegers, functions: MathFunctions) -> None:
        self._ir = ir
        self._small = small
        self._functions = functions
        self._params = {param.name for param in ir.signature.params}
        self.registers: Callable[[str, tuple[Expr, ...]], Place | None] = lambda array, indices: None
        self._expressions: dict[type, Callable[..., str]] = {
            Const: lambda expr: literal(expr.value, expr.type), Local: self._local,
            DimValue: lambda expr: f"d_{c_name(expr.name)}", Load: self._load, Unary: self._unary,
            Binary: self._binary, Compare: self.compare, Select: self._select, Cast: self._cast, Call: self._call,
        }  # fmt: skip

    def name(self, name: str) -> str:
        """Return the name of a local or a scalar parameter."""
        return f"{'p' if name in self._params else 'v'}_{c_name(name)}"

    def c_type(self, name: str, scalar: ScalarType = i64) -> str:
        """Return the type of a local, which is a counter unless `scalar` is given."""
        return "xd_index" if name in self._small else C_TYPES[scalar.name]

    def text(self, expr: Expr) -> str:
        """Return an expression."""
        return self._expressions[type(expr)](expr)

    def operand(self, expr: Expr) -> str:
        """Return an expression in parentheses, unless it holds together without them."""
        return wrapped(self.text(expr))

    def _local(self, expr: Local) -> str:
        return f"(long){self.name(expr.name)}" if expr.name in self._small else self.name(expr.name)

    def value_for(self, name: str, expr: Expr) -> str:
        """Return an expression as it is given to a local."""
        return self.index(expr) if name in self._small else self.text(expr)

    def index(self, expr: Expr) -> str:
        """Return an i64 expression as an ``xd_index`` where it fits one in a small launch, else as it is."""
        if self._small.interval(expr) is None:
            return self.text(expr)
        if isinstance(expr, Const):
            return str(expr.value) if expr.value > -(1 << 31) else f"({expr.value + 1} - 1)"
        if isinstance(expr, Local):
            return self.name(expr.name)
        if isinstance(expr, Binary):
            left, right = (wrapped(self.index(operand)) for operand in (expr.left, expr.right))
            return f"{left} {_OPERATORS[expr.op]} {right}"
        if isinstance(expr, Select):
            then, otherwise = (wrapped(self.index(choice)) for choice in (expr.then, expr.otherwise))
            return f"{self.operand(expr.condition)} ? {then} : {otherwise}"
        return f"(xd_index){self.operand(expr)}"

    def element(self, array: str, indices: tuple[Expr, ...]) -> str:
        """Return an element of an array, to read or to assign to."""
        pointer, index = self.place(array, indices)
        return f"{pointer}[{index}]"

    def place(self, array: str, indices: tuple[Expr, ...]) -> Place:
        """Return where an element is."""
        held = self.registers(array, indices)
        if held is not None:
            return held
        array_type = self._ir.array(array)
        index = self.index(indices[0])
        for extent, inner in zip(array_type.extents[1:], indices[1:], strict=True):
            size = f"(xd_index)d_{c_name(extent.name)}" if isinstance(extent, Dim) else f"(xd_index){extent}"
            index = f"{wrapped(index)} * {size} + {wrapped(self.index(inner))}"
        return f"{'a' if array in self._ir.arrays else 'p'}_{c_name(array)}", index

    def half_place(self, array: str, indices: tuple[Expr, ...]) -> Place:
        """Return where an f16 is; in registers and in our own arrays they are bits, since C has no half variables."""
        pointer, index = self.place(array, indices)
        if array in self._ir.arrays or self.registers(array, indices) is not None:
            shared = array in self._ir.arrays and self._ir.arrays[array].space == "shared"
            return f"({'__local ' if shared else ''}half *){pointer}", index
        return pointer, index

    def _load(self, expr: Load) -> str:
        if expr.type == f16:
            pointer, index = self.half_place(expr.array, expr.indices)
            return f"vload_half({index}, {pointer})"
        element = self.element(expr.array, expr.indices)
        return f"({element} != 0)" if expr.type == bool_ else element

    def _unary(self, expr: Unary) -> str:
        # Of the unary operators only the sign of a float is legal.
        return f"-{self.operand(expr.operand)}"

    def _binary(self, expr: Binary) -> str:
        left, right = self.operand(expr.left), self.operand(expr.right)
        if expr.op == "fmod":
            return f"fmod({self.text(expr.left)}, {self.text(expr.right)})"
        if expr.type == bool_:
            inverts = expr.op == "xor" and isinstance(expr.right, Const) and expr.right.value
            return f"!{left}" if inverts else f"{left} {_BOOL_OPERATORS[expr.op]} {right}"
        text = f"{left} {_OPERATORS[expr.op]} {right}"
        if expr.type.is_float or expr.type.name in ("u32", "u64"):
            return text
        if expr.type.bits < 32:
            # C computes these as int; u16 * u16 and a shifted sign would overflow even that.
            return f"({C_TYPES[expr.type.name]})({_as_unsigned(expr, left, right, 'uint')})"
        c_type = C_TYPES[expr.type.name]
        unsigned = _as_unsigned(expr, left, right, f"u{c_type}")
        return f"as_{c_type}({unsigned})" if expr.op in _WRAPPING else unsigned

    def compare(self, expr: Compare) -> str:
        """Return a comparison, of 32 bits where both sides fit them in a small launch."""
        operands = (expr.left, expr.right)
        if None not in map(self._small.interval, operands):
            left, right = (wrapped(self.index(operand)) for operand in operands)
        else:
            left, right = map(self.operand, operands)
        return f"{left} {_COMPARISONS[expr.op]} {right}"

    def _select(self, expr: Select) -> str:
        condition, then, otherwise = (self.operand(part) for part in (expr.condition, expr.then, expr.otherwise))
        return f"{condition} ? {then} : {otherwise}"

    def _cast(self, expr: Cast) -> str:
        source, target = expr.operand.type, expr.type
        if source.is_float and not target.is_float:
            return f"{self._functions.saturating_cast(source, target)}({self.text(expr.operand)})"
        if target == f16:
            wide = source if source.is_float else f32
            operand = self.text(expr.operand) if source.is_float else f"(float){self.operand(expr.operand)}"
            return f"{self._functions.rounded_to_half(wide)}({operand})"
        return f"({C_TYPES[target.name]}){wrapped(self.index(expr.operand))}"

    def _call(self, expr: Call) -> str:
        arguments = ", ".join(map(self.text, expr.arguments))
        return f"{self._functions.callee(expr.function, expr.arguments[0].type)}({arguments})"


def _as_unsigned(expr: Binary, left: str, right: str, unsigned: str) -> str:
    """Return the operation, on unsigned operands where a signed one could overflow."""
    if expr.op not in _WRAPPING:
        return f"{left} {_OPERATORS[expr.op]} {right}"
    return f"({unsigned}){left} {_OPERATORS[expr.op]} ({unsigned}){right}"
