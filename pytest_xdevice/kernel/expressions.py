"""Expressions of a kernel: Python's syntax tree in, typed IR out."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any
from typing import Final

from . import fold
from .advice import a_kind
from .advice import instead_of
from .advice import instead_of_unknown
from .advice import nearest
from .advice import UNKNOWN
from .captured import Captured
from .captured import MISSING
from .errors import KernelError
from .ir import Assign
from .ir import Binary
from .ir import Call
from .ir import Compare
from .ir import Const
from .ir import DimValue
from .ir import Expr
from .ir import InlinedCall
from .ir import Load
from .ir import Local
from .ir import Location
from .ir import Logic
from .ir import Result
from .ir import Select
from .ir import Unary
from .mathtable import FUNCTIONS
from .promote import coerce
from .promote import common_type
from .promote import force
from .promote import integer_range
from .promote import Operand
from .promote import Refusal
from .promote import typed
from .promote import Weak
from .promote import WeakSelect
from .scope import Calls
from .scope import Scope
from .source import KernelText
from .traversal import inlined_calls
from .types import AnyArray
from .types import bool_
from .types import Dim
from .types import Extent
from .types import i64
from .types import scalar_of_dtype
from .types import ScalarType
from .unsupported import advice_for
from .unsupported import describe
from .variables import Variables

_LARGEST_POWER: Final = 64  # up to here a literal exponent becomes multiplications
_UNARY: Final[dict[type[ast.unaryop], str]] = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert", ast.Not: "not"}
BINARY: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.Pow: "pow", ast.LShift: "shl", ast.RShift: "shr", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
}  # fmt: skip
_COMPARE: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip
_BITWISE: Final = frozenset({"and", "or", "xor"})
_SPELLING: Final = {"shl": "<<", "shr": ">>", "and": "&", "or": "|", "xor": "^"}


@dataclass(frozen=True)
class Element:
    """An element of an array: what the source calls the array, what the IR does, its type, and the indices."""

    name: str
    array: str
    type: AnyArray
    indices: tuple[Expr, ...]


class Expressions:
    """Makes IR of expressions.

    Parameters
    ----------
    text : KernelText
        The source, for places.
    captured : Captured
        What the names from outside of the kernel mean.
    scope : Scope
        The parameters and dims.
    variables : Variables
        Its locals, as the statements before this expression have left them.
    local_names : frozenset of str
        Every name that the function assigns somewhere, which Python therefore never looks up outside.
    calls : Calls
        The helper functions that are being inlined.
    """

    def __init__(
        self,
        text: KernelText,
        captured: Captured,
        scope: Scope,
        variables: Variables,
        local_names: frozenset[str],
        calls: Calls,
    ) -> None:
        self.text = text
        self.captured = captured
        self.variables = variables
        self.local_names = local_names
        self.scope = scope
        self.params = scope.params
        self.dims = {**calls.dims, **scope.dims}
        self.calls = calls
        self.level = calls.level  # of expressions around this place, those around the call of a helper included

    # --- entry points -----------------------------------------------------------------------------------

    def visit(self, node: ast.expr) -> Operand:
        """Return the operand that `node` is.

        Raises
        ------
        KernelError
            At the innermost node that the language does not allow.
        """
        method: Callable[[Any], Operand] | None = getattr(self, f"visit_{type(node).__name__}", None)
        if method is None:
            raise self.text.error(node, f"{describe(node)} cannot be used in a kernel.", advice_for(node))
        self.level += 1
        try:
            return method(node)
        except Refusal as refusal:
            raise self.refused(node, refusal) from None
        finally:
            self.level -= 1

    def value(self, node: ast.expr, type_: ScalarType) -> Expr:
        """Return `node` as a `type_`, where that needs no written cast."""
        operand = self.visit(node)
        try:
            return coerce(operand, type_)
        except Refusal as refusal:
            raise self.refused(node, refusal) from None

    def typed(self, node: ast.expr) -> Expr:
        """Return `node` with a type of its own."""
        operand = self.visit(node)
        try:
            return typed(operand)
        except Refusal as refusal:
            raise self.refused(node, refusal) from None

    def truth(self, node: ast.expr) -> Expr:
        """Return `node` as a bool_ with Python's meaning of truth: a number is true when it is not 0."""
        return _truth(self.visit(node))

    def refused(self, node: ast.AST, refusal: Refusal) -> KernelError:
        """Return `refusal` as an error at `node`."""
        return self.text.error(node, refusal.message, refusal.advice)

    # --- names and constants ----------------------------------------------------------------------------

    def visit_Constant(self, node: ast.Constant) -> Operand:
        if isinstance(node.value, (bool, int, float)):
            return Weak(node.value, self.text.location(node))
        kind = {str: "a string", bytes: "a bytes literal", complex: "a complex number"}.get(type(node.value))
        raise Refusal(f"{kind or repr(node.value)} cannot be used in a kernel.", "Kernels compute with numbers only.")

    def visit_Name(self, node: ast.Name) -> Operand:
        param = self.params.get(node.id)
        if isinstance(param, ScalarType):
            return Local(node.id, param, self.text.location(node))
        array = self.array_named(node)
        if array is not None:
            index = ", ".join("ijk"[: array.ndim])
            raise Refusal(f"the array '{node.id}' is used as a number.", f"Take an element of it: {node.id}[{index}].")
        if node.id in self.local_names:
            if not self.variables.is_given(node.id):
                self._check_meant(node)
            name, type_ = self.variables.read(node.id)
            return Local(name, type_, self.text.location(node))
        return self.constant(self.resolve(node), node)

    def _check_meant(self, node: ast.Name) -> None:
        """Refuse a name that is meant as that of a dim or of a number outside, and is a local by being assigned below.

        Raises
        ------
        Refusal
            If it is one.
        """
        import numpy as np

        is_dim = node.id in self.dims
        if is_dim or isinstance(self.captured.lookup(node.id), (int, float, np.generic)):
            line = self.text.line_of_assignment(node.id)
            raise Refusal(
                f"'{node.id}' is {'a dim' if is_dim else 'defined outside'}, and line {line} makes it a local.",
                f"Give what line {line} assigns another name.",
            )

    def visit_Attribute(self, node: ast.Attribute) -> Operand:
        base = node.value
        if isinstance(base, ast.Name) and self.array_named(base) is not None:
            if node.attr == "shape":
                raise Refusal("a shape is used as a number.", f"Take one extent of it: {base.id}.shape[0].")
            has = (
                "Swap the indices of its elements."
                if node.attr == "T"
                else f"They have {base.id}.shape[k], and elements."
            )
            raise Refusal(f"arrays in a kernel have no '.{node.attr}'.", has)
        if self.is_local(base) or (isinstance(base, ast.Subscript) and not self.is_outside(base)):
            raise Refusal(f"'{ast.unparse(base)}' is a scalar and has no attributes.", "Use its value alone.")
        return self.constant(self.resolve(node), node)

    def is_local(self, node: ast.expr) -> bool:
        """Say whether `node` is the name of a parameter or a local."""
        return isinstance(node, ast.Name) and (node.id in self.params or node.id in self.local_names)

    def array_named(self, node: ast.expr) -> AnyArray | None:
        """Return the type of the array that `node` is the name of, or None."""
        if not isinstance(node, ast.Name):
            return None
        param = self.params.get(node.id)
        if param is None:
            return self.variables.array_type(node.id)
        return None if isinstance(param, ScalarType) else param

    def called(self, node: ast.expr) -> Any:
        """Return the Python object that `node` calls by a name from outside of the kernel, or None."""
        if not isinstance(node, ast.Call):
            return None
        root = node.func
        while isinstance(root, ast.Attribute):
            root = root.value
        return self.resolve(node.func) if isinstance(root, ast.Name) and not self.is_local(root) else None

    def resolve(self, node: ast.expr) -> Any:
        """Return the Python object that a name, or an attribute of one, stands for outside of the function."""
        if isinstance(node, ast.Attribute) and not self.is_local(node.value):
            owner = self.resolve(node.value)
            try:
                return self.captured.attribute(owner, node.attr)
            except AttributeError:
                raise self.text.error(
                    node,
                    f"'{ast.unparse(node.value)}' has no attribute '{node.attr}'.",
                    nearest(node.attr, dir(owner)) or UNKNOWN,
                ) from None
        if isinstance(node, ast.Subscript) and self.is_outside(node):
            return self._item(node)
        if not isinstance(node, ast.Name):
            raise self.text.error(
                node, f"{describe(node)} cannot be used here.", "Compute it outside of the kernel, and use its name."
            )
        if node.id in self.scope.constants:
            return self.scope.constants[node.id]
        found = self.captured.read(node.id)
        if found is MISSING and node.id in self.dims:  # a dim that was made within an annotation
            return Dim(node.id)
        if found is MISSING:
            raise self.text.error(node, f"the name '{node.id}' is not defined.", self._instead_of_unknown(node.id))
        return found

    def _instead_of_unknown(self, name: str) -> str:
        """Return what to write instead of a name that is not defined."""
        own = [*self.params, *self.local_names, *self.dims, *self.scope.constants]
        return instead_of_unknown(name, own, [*self.captured.names, *FUNCTIONS, "range", "parallel"])

    def is_outside(self, node: ast.expr) -> bool:
        """Say whether `node` is a name from outside of the function, or an attribute or item of one."""
        while isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        return isinstance(node, ast.Name) and not self.is_local(node)

    def _item(self, node: ast.Subscript) -> Any:
        """Return the item of a tuple from outside that a constant index picks."""
        owner, name = self.resolve(node.value), ast.unparse(node.value)
        if not isinstance(owner, tuple):
            self._check_constant(owner, node.value)
            raise self.text.error(node, f"'{name}' is a number, and is indexed.", "Only arrays and tuples can be.")
        index = _whole_constant(self.visit(node.slice)) if not isinstance(node.slice, ast.Slice) else None
        if index is None:
            raise self.text.error(
                node.slice, f"'{name}' is a tuple, and its index is not known when the kernel is read.",
                f"Pass it as an array: In[f32, {len(owner)}], or write out the loop.",
            )  # fmt: skip
        try:
            return owner[index]
        except IndexError:
            raise self.text.error(
                node.slice, f"index {index} is outside of '{name}', which has {len(owner)}.", "Use a smaller one."
            ) from None

    def _check_constant(self, value: Any, node: ast.expr) -> None:
        try:
            self.constant(value, node)
        except Refusal as refusal:
            raise self.refused(node, refusal) from None

    def constant(self, value: Any, node: ast.expr) -> Operand:
        """Return the number that `node` names outside of the function: `value`.

        Raises
        ------
        Refusal
            If it is none.
        """
        import numpy as np

        at, name = self.text.location(node), ast.unparse(node)
        if isinstance(value, np.generic):
            type_ = scalar_of_dtype(value.dtype)
            if type_ is None:
                raise Refusal(f"'{name}' is a {value.dtype}, a type that kernels do not have.", "Convert it outside.")
            return typed(Const(value.item(), type_, at))
        if isinstance(value, (bool, int, float)):
            return Weak(value if type(value) in (bool, int, float) else _plain(value), at)
        if isinstance(value, Dim):
            if value.name in self.dims:
                return _extent(self.dims[value.name], at)
            raise Refusal(
                f"the dim '{value.name}' is no extent of any parameter.", "Add it to an array, or pass an i64."
            )
        if isinstance(value, np.ndarray):
            raise Refusal(f"'{name}' is an array from outside of the kernel.", "Pass it as a parameter: In[f32, n].")
        if callable(value):
            raise Refusal(f"'{name}' is a function or type, not a number.", f"Call it: {name}(x).")
        raise Refusal(f"'{name}' is {a_kind(value)}, which kernels do not have.", instead_of(value, name))

    # --- arithmetic -------------------------------------------------------------------------------------

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Operand:
        op, operand, at = _UNARY[type(node.op)], self.visit(node.operand), self.text.location(node)
        if isinstance(operand, (Weak, WeakSelect)):
            return fold.unary(op, operand, at)
        if op == "not":
            return Unary("not", _truth(operand), bool_, at)
        operand = typed(operand)
        if op == "invert":
            if operand.type.is_float:
                raise Refusal(f"'~' of an {operand.type}.", "It works on integers and bool_.")
            return Unary("invert", operand, operand.type, at)
        if operand.type.kind == "bool":
            raise Refusal("arithmetic on a bool_.", "Cast it, such as i32(x), or write 'not x' or '~x'.")
        return operand if op == "pos" else Unary("neg", operand, operand.type, at)

    def visit_BinOp(self, node: ast.BinOp) -> Operand:
        return self.binary(node.op, self.visit(node.left), self.visit(node.right), self.text.location(node))

    def binary(self, operator: ast.operator, left: Operand, right: Operand, at: Location) -> Operand:
        """Return the operation of the two operands that Python's `operator` is.

        Raises
        ------
        Refusal
            If the language does not have it for their types.
        """
        op = BINARY.get(type(operator))
        if op is None:
            raise Refusal("'@' cannot be used in a kernel.", "Write the loops of the product.")
        if isinstance(left, (Weak, WeakSelect)) and isinstance(right, (Weak, WeakSelect)):
            return fold.binary(op, left, right, at)
        type_ = common_type(left, right)
        if type_.kind == "bool" and op not in _BITWISE:
            raise Refusal("arithmetic on two bool_.", "Cast one of them, such as i32(x).")
        if type_.is_float and op in _SPELLING:
            raise Refusal(f"'{_SPELLING[op]}' on {type_}.", "It works on integers: cast with i64(x).")
        if op == "div" and not type_.is_float:
            raise Refusal("'/' of two integers.", "Write '//' for floor division, or cast one of them, such as f64(x).")
        if op == "pow":
            return power(left, right, type_, at)
        return Binary(op, coerce(left, type_), coerce(right, type_), type_, at)  # type: ignore[arg-type]

    # --- conditions -------------------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> Operand:
        for operator in node.ops:
            if type(operator) not in _COMPARE:
                sign = {ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in"}[type(operator)]
                raise Refusal(f"'{sign}' cannot be used in a kernel.", "Compare numbers with ==, !=, <, <=, > or >=.")
        operands = [self.visit(operand) for operand in (node.left, *node.comparators)]
        return self._chain(node.ops, operands, self.text.location(node))

    def _chain(self, operators: list[ast.cmpop], operands: list[Operand], at: Location) -> Operand:
        """Return a chain of comparisons, in which an operand between two of them is evaluated once."""
        left, middle, *others = operands
        if not others:
            return self._comparison(operators[0], left, middle, at)
        bindings: list[Assign] = []
        if has_call(middle):
            left, middle = (self._bound(operand, bindings) for operand in (left, middle))
        first = self._comparison(operators[0], left, middle, at)
        both = _logic("and", first, self._chain(operators[1:], [middle, *others], at), at)
        if not bindings:
            return both
        return InlinedCall("comparison", tuple(bindings), (Result(typed(both), at),), bool_, at)

    def _bound(self, operand: Operand, bindings: list[Assign]) -> Operand:
        """Return `operand` as a local that one more of `bindings` gives a value; a literal stays one."""
        if isinstance(operand, Weak):
            return operand
        value = typed(operand)
        name = self.variables.temporary("compared", value.type)
        bindings.append(Assign(name, value, value.at, declares=True))
        return Local(name, value.type, value.at)

    def _comparison(self, operator: ast.cmpop, left: Operand, right: Operand, at: Location) -> Operand:
        op = _COMPARE[type(operator)]
        if isinstance(left, (Weak, WeakSelect)) and isinstance(right, (Weak, WeakSelect)):
            return fold.binary(op, left, right, at)
        type_ = common_type(left, right)
        return Compare(op, coerce(left, type_), coerce(right, type_), bool_, at)  # type: ignore[arg-type]

    def visit_BoolOp(self, node: ast.BoolOp) -> Operand:
        op, at = "and" if isinstance(node.op, ast.And) else "or", self.text.location(node)
        return reduce(lambda left, right: _logic(op, left, right, at), [self.visit(value) for value in node.values])

    def visit_IfExp(self, node: ast.IfExp) -> Operand:
        condition, at = self.visit(node.test), self.text.location(node)
        then, otherwise = self.visit(node.body), self.visit(node.orelse)
        if isinstance(condition, Weak):
            return then if condition.value else otherwise
        if isinstance(then, (Weak, WeakSelect)) and isinstance(otherwise, (Weak, WeakSelect)):
            return WeakSelect(_truth(condition), then, otherwise, at)
        type_ = common_type(then, otherwise)
        return Select(_truth(condition), coerce(then, type_), coerce(otherwise, type_), type_, at)

    # --- arrays -----------------------------------------------------------------------------------------

    def visit_Subscript(self, node: ast.Subscript) -> Operand:
        shape = node.value
        if isinstance(shape, ast.Attribute) and shape.attr == "shape":
            array = self.array_named(shape.value)
            if array is not None:
                return self.extent(shape.value, array, node)
        if self.is_outside(node):
            return self.constant(self.resolve(node), node)
        return self.load(self.element(node), self.text.location(node))

    def load(self, element: Element, at: Location) -> Expr:
        """Return the value of an element."""
        return typed(Load(element.array, element.indices, element.type.element, at))

    def element(self, node: ast.Subscript) -> Element:
        """Return what ``a[i, j]`` is."""
        base = node.value
        if isinstance(base, ast.Subscript) and isinstance(base.value, ast.Name) and self.is_local(base.value):
            inner, outer = ast.unparse(base.slice), ast.unparse(node.slice)
            raise Refusal("an array is indexed in two steps.", f"Write {base.value.id}[{inner}, {outer}].")
        type_ = self.array_named(base)
        if type_ is None or not isinstance(base, ast.Name):
            if isinstance(base, ast.Name) and not self.is_local(base):
                self.constant(self.resolve(base), base)  # says what it is, if it is no number
            if not isinstance(base, (ast.Name, ast.Call)) and not _is_shape(base):
                self.visit(base)  # says what it is, if a kernel cannot have it
            raise Refusal(
                f"'{ast.unparse(base)}' is no array.",
                "Index an array parameter, or the name of a private() or shared() array.",
            )
        nodes = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if len(nodes) != type_.ndim:
            wanted = ", ".join("ijk"[: type_.ndim])
            raise Refusal(
                f"'{base.id}' has {type_.ndim} dimension{'s'[: type_.ndim > 1]}, and is indexed with {len(nodes)}.",
                f"Write {base.id}[{wanted}].",
            )
        indices = tuple(self._index(base.id, type_.extents[axis], axis, index) for axis, index in enumerate(nodes))
        return Element(base.id, self.array_in_ir(base.id), type_, indices)

    def array_in_ir(self, name: str) -> str:
        """Return the name in the IR of the array that the source calls `name`."""
        return self.scope.arrays[name] if name in self.params else self.variables.read_array(name)

    def _index(self, array: str, extent: Extent, axis: int, node: ast.expr) -> Expr:
        if isinstance(node, ast.Slice):
            raise self.text.error(node, f"'{array}' is sliced.", "Write a loop over the elements.")
        operand = self.visit(node)
        value = _whole_constant(operand)
        if value is not None:
            return self._constant_index(array, extent, axis, value, node)
        index = typed(operand)
        if not index.type.is_integer:
            raise self.text.error(node, f"an index is {index.type}.", "Cast it to an integer: i64(x).")
        return force(index, i64)

    def _constant_index(self, array: str, extent: Extent, axis: int, value: int, node: ast.expr) -> Expr:
        at = self.text.location(node)
        if isinstance(extent, int):
            if not -extent <= value < extent:
                raise self.text.error(
                    node, f"index {value} is outside of '{array}', which has {extent} along axis {axis}.",
                    f"Use 0 to {extent - 1}." if extent else "An empty array has no elements.",
                )  # fmt: skip
            return Const(value % extent, i64, at)
        least, greatest = integer_range(i64)
        if not least <= value <= greatest:
            raise self.text.error(node, f"index {value} is outside of every array.", "Indices are i64.")
        if value < 0:
            return Binary("add", DimValue(extent.name, i64, at), Const(value, i64, at), i64, at)
        return Const(value, i64, at)

    def extent(self, base: ast.expr, type_: AnyArray, node: ast.Subscript) -> Operand:
        """Return the extent ``a.shape[k]`` of the array `base`."""
        array, axis = ast.unparse(base), _whole_constant(self.visit(node.slice))
        if axis is None or not -type_.ndim <= axis < type_.ndim:
            wanted = " or ".join(f"{array}.shape[{k}]" for k in range(type_.ndim))
            raise Refusal(f"'{array}' has no such extent.", f"Write {wanted}: the index is a literal.")
        return self.extent_value(type_, axis, self.text.location(node))

    def extent_value(self, type_: AnyArray, axis: int, at: Location) -> Operand:
        """Return the extent of an array along `axis`."""
        return _extent(type_.extents[axis], at)

    # --- calls ------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> Operand:
        operand = self.call(node)
        if isinstance(operand, InlinedCall) and not operand.has_value:
            raise Refusal(f"'{operand.helper}' returns no value.", "Call it on a line of its own.")
        return operand

    def call(self, node: ast.Call) -> Operand:
        """Return the call `node`, which need not have a value."""
        from .calls import build_call

        try:
            return build_call(self, node)
        except Refusal as refusal:
            raise self.refused(node, refusal) from None


def power(left: Operand, right: Operand, type_: ScalarType, at: Location) -> Operand:
    """Return ``left ** right`` in `type_`: multiplications for a small literal exponent, otherwise `pow`."""
    exponent = _whole_constant(right)
    if exponent is not None and 0 <= exponent <= _LARGEST_POWER:
        return Binary("pow", coerce(left, type_), force(right, type_), type_, at)
    if type_.is_float:
        return Call("pow", (coerce(left, type_), coerce(right, type_)), type_, at)
    what = "only known at run time" if exponent is None else str(exponent)
    raise Refusal(f"an integer to a power that is {what}.", "Cast the base: f64(x) ** y.")


def _extent(extent: Extent, at: Location) -> Operand:
    return Weak(extent, at) if isinstance(extent, int) else DimValue(extent.name, i64, at)


def _truth(operand: Operand) -> Expr:
    """Return whether `operand` is true, as a bool_."""
    if isinstance(operand, Weak):
        return Const(bool(operand.value), bool_, operand.at)
    if isinstance(operand, WeakSelect):
        return Select(operand.condition, _truth(operand.then), _truth(operand.otherwise), bool_, operand.at)
    value = typed(operand)
    if value.type.kind == "bool":
        return value
    return Compare("ne", value, coerce(Weak(0, value.at), value.type), bool_, value.at)


def _logic(op: str, left: Operand, right: Operand, at: Location) -> Operand:
    if isinstance(left, Weak) and isinstance(right, Weak):
        decided = bool(left.value) and bool(right.value) if op == "and" else bool(left.value) or bool(right.value)
        return Weak(decided, at)
    return Logic(op, _truth(left), _truth(right), bool_, at)  # type: ignore[arg-type]


def is_number(value: object) -> bool:
    """Tell whether `value`, from outside of a kernel, is a number in it."""
    import numpy as np

    return isinstance(value, (bool, int, float, np.generic, Dim))


def has_call(operand: Operand) -> bool:
    """Tell whether `operand` calls a helper function, so that it must not be evaluated twice."""
    if isinstance(operand, WeakSelect):
        return any(map(has_call, (operand.condition, operand.then, operand.otherwise)))
    return not isinstance(operand, Weak) and any(inlined_calls(operand))


def _whole_constant(operand: Operand) -> int | None:
    """Return the value of an integer that is known when the kernel is read, or None."""
    if isinstance(operand, (Weak, Const)) and type(operand.value) is int:
        return operand.value
    return None


def _plain(value: Any) -> Any:
    """Return an IntEnum and the like as the plain number that it is."""
    return int(value) if isinstance(value, int) else float(value)


def _is_shape(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "shape"
