"""Calls in a kernel: casts, the math table, `len`, and what to say of every other."""

from __future__ import annotations

import ast
import builtins
import functools
import math
from types import FunctionType
from types import MethodType
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from pytest_xdevice.kernel.constructs import barrier
from pytest_xdevice.kernel.constructs import is_atomic
from pytest_xdevice.kernel.constructs import parallel
from pytest_xdevice.kernel.constructs import private
from pytest_xdevice.kernel.constructs import shared
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import Location
from pytest_xdevice.kernel.mathtable import FUNCTIONS
from pytest_xdevice.kernel.mathtable import MathFunction
from pytest_xdevice.kernel.mathtable import table_name
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import dim
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import scalar_of_dtype
from pytest_xdevice.kernel.types import ScalarType

from . import fold
from .names import Names
from .operators import extent_of
from .operators import power
from .promote import coerce
from .promote import common_type
from .promote import force
from .promote import Operand
from .promote import Refusal
from .promote import Weak

if TYPE_CHECKING:
    pass

_PYTHON_CASTS: Final = {int: i64, float: f64, bool: bool_}
_NO_HELPERS: Final = frozenset({"numpy", __name__.partition(".")[0]})
_OTHER_ADVICE: Final[dict[Any, str]] = {
    print: "Write the value to an array parameter, and print it in the test.",
    range: "It belongs in 'for i in range(...)'.",
    parallel: "It belongs in 'for i in parallel(...)', at the top level of the kernel.",
    private: "Give the array a name on a line of its own: acc = private(f32, 8).",
    shared: "Give the array a name on a line of its own: tile = shared(f32, 256).",
    barrier: "Write it on a line of its own.",
    sum: "Write a loop that accumulates in a local.",
    any: "Write a loop.",
    all: "Write a loop.",
    enumerate: "Loop with 'for i in range(...)' and index with i.",
    zip: "Loop with 'for i in range(...)' and index with i.",
    divmod: "Write '//' and '%'.",
    isinstance: "The types in a kernel are known from its annotations.",
    type: "The types in a kernel are known from its annotations.",
    dim: "Name extents above the kernel: n = dim('n').",
}


def build_call(names: Names, node: ast.Call) -> Operand:
    """Return the operand that the call `node` is.

    Raises
    ------
    KernelError, Refusal
        If the language does not have it.
    """
    callee = _callee(names, node.func)
    if is_atomic(callee):
        raise Refusal(
            f"{ast.unparse(node.func)}() stands inside of an expression or another statement.",
            f"Give what it returns to a local first: old = {ast.unparse(node)}.",
        )
    if _is_helper(callee):
        return names.calls.inline(names, node, callee)
    for keyword in node.keywords:
        raise names.text.error(keyword, f"'{ast.unparse(node.func)}' takes no keyword here.", "Give it by position.")
    cast = _cast_type(callee)
    if cast is not None:
        return _cast(names, node, callee, cast)
    if callee is len:
        return _len(names, node)
    name = table_name(callee)
    if name is None:
        wrapped = getattr(callee, "__wrapped__", None)
        if hasattr(callee, "llvm_ir") and wrapped in names.calls.stack:
            names.calls.refuse_recursion(wrapped)
        if isinstance(callee, (int, float)):
            raise Refusal(f"'{ast.unparse(node.func)}' is a number, and is called.", "Write '*' for a product.")
        raise Refusal(f"'{ast.unparse(node.func)}' cannot be called in a kernel.", _other_advice(callee))
    arguments = [names.visit(argument) for argument in node.args]
    return call_table(FUNCTIONS[name], arguments, names.text.location(node), as_float=callee is math.pow)


def _is_helper(callee: Any) -> bool:
    """Say whether `callee` is a Python function to inline: not one of NumPy's or of this package."""
    if not isinstance(callee, FunctionType) or table_name(callee) is not None:
        return False
    return not _is_known(callee)


def _is_known(callee: Any) -> bool:
    """Say whether `callee` is of NumPy, or of this package."""
    return str(getattr(callee, "__module__", "")).partition(".")[0] in _NO_HELPERS


def _callee(names: Names, func: ast.expr) -> Any:
    """Return the Python object that is called."""
    owner = func.value if isinstance(func, ast.Attribute) else func
    if isinstance(owner, ast.Name) and names.array_named(owner) is not None:
        if owner is func:
            raise Refusal(f"the array '{owner.id}' is called.", f"Take an element with {owner.id}[i].")
        raise Refusal(
            f"arrays in a kernel have no methods such as '.{ast.unparse(func)[len(owner.id) + 1 :]}()'.",
            "Write a loop.",
        )
    if names.is_local(func):
        raise Refusal(f"'{ast.unparse(func)}' is a scalar and cannot be called.", "Write '*' to multiply.")
    if isinstance(func, ast.Attribute) and (names.is_local(owner) or not isinstance(owner, (ast.Name, ast.Attribute))):
        known = f"Call the function {func.attr}(x)." if func.attr in FUNCTIONS else "Call a function or a cast: f32(x)."
        raise Refusal("numbers in a kernel have no methods.", known)
    return names.resolve(func)


def _cast_type(callee: Any) -> ScalarType | None:
    """Return the type that calling `callee` casts to, or None."""
    if isinstance(callee, ScalarType):
        return callee
    if isinstance(callee, type):
        if callee in _PYTHON_CASTS:
            return _PYTHON_CASTS[callee]
        if callee.__module__ == "numpy" and callee.__name__ != "ndarray":
            return scalar_of_dtype(callee)
    return None


def _cast(names: Names, node: ast.Call, callee: Any, type_: ScalarType) -> Operand:
    if len(node.args) != 1:
        raise Refusal(
            f"the cast {ast.unparse(node.func)}(...) takes one value, and got {len(node.args)}.", "Write one value."
        )
    argument = node.args[0]
    python_cast = callee if isinstance(callee, type) and callee in _PYTHON_CASTS else None
    if python_cast is float and isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return Weak(_parsed(argument.value), names.text.location(node))
    value = names.visit(argument)
    if python_cast is not None and isinstance(value, Weak):
        return fold.cast(python_cast, value, names.text.location(node))
    return force(value, type_)


def _parsed(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Refusal(f"float({text!r}) is no number.", "Write float('inf'), float('nan'), or a literal.") from None


def _len(names: Names, node: ast.Call) -> Operand:
    array = names.array_named(node.args[0]) if len(node.args) == 1 else None
    if len(node.args) == 1 and names.is_outside(node.args[0]):
        value = names.resolve(node.args[0])
        if isinstance(value, tuple):
            return Weak(len(value), names.text.location(node))
    if array is None:
        raise Refusal("len() takes an array parameter.", "Use a dim, or a.shape[k].")
    return extent_of(array.extents[0], names.text.location(node))


def call_table(function: MathFunction, arguments: list[Operand], at: Location, *, as_float: bool = False) -> Operand:
    """Return the call of a function of the math table.

    Raises
    ------
    Refusal
        If it does not take such arguments.
    """
    least, most = function.arity, None if function.variadic else function.arity
    if len(arguments) < least or (most is not None and len(arguments) > most):
        wanted = f"{least} argument{'s'[: least > 1]}" + (" or more" if most is None else "")
        raise Refusal(f"'{function.name}' takes {wanted}, and got {len(arguments)}.", "Write as many as it takes.")
    literals = [argument for argument in arguments if isinstance(argument, Weak)]
    if len(literals) == len(arguments):
        return fold.call(function, literals, at)
    type_ = common_type(*arguments)
    if type_.kind == "bool":
        raise Refusal(f"'{function.name}' of a bool_.", "Cast it, such as i32(x).")
    if function.name == "pow" and not as_float:
        return power(arguments[0], arguments[1], type_, at)
    if function.rule != "number" and not type_.is_float:
        type_ = f64
    operands = [coerce(argument, type_) for argument in arguments]
    if _is_identity(function, type_):
        return operands[0]
    result = bool_ if function.rule == "test" else type_
    return _fold_left(function, operands, result, at)


def _is_identity(function: MathFunction, type_: ScalarType) -> bool:
    """Say whether `function` gives back whatever it is given of `type_`."""
    whole = function.name in ("floor", "ceil", "trunc", "round") and type_.is_integer
    return whole or (function.name == "abs" and type_.kind == "uint")


def _fold_left(function: MathFunction, operands: list[Expr], result: ScalarType, at: Location) -> Expr:
    if not function.variadic:
        return Call(function.name, tuple(operands), result, at)
    combined = operands[0]
    for operand in operands[1:]:
        combined = Call(function.name, (combined, operand), result, at)
    return combined


def _other_advice(callee: Any) -> str:
    try:
        if callee in _OTHER_ADVICE:
            return _OTHER_ADVICE[callee]
    except TypeError:  # unhashable
        pass
    if isinstance(callee, MethodType):
        return "A bound method has an object in it: write a function, or a static method, that takes numbers."
    if hasattr(callee, "llvm_ir") and hasattr(callee, "signature"):
        return "A kernel cannot launch another: launch both from the test."
    if isinstance(getattr(callee, "__wrapped__", None), FunctionType) and not _is_known(callee):
        return "A decorator has put something else in the function's place: call the plain function."
    if getattr(callee, "__module__", "") in ("ctypes", "_ctypes"):
        return "Kernels have no pointers: give the array and an index."
    if isinstance(callee, functools.partial):
        return "Write a function that calls it with all its arguments."
    if isinstance(callee, type):
        return "Kernels have scalars and arrays of them only: pass each field by itself."
    if getattr(builtins, getattr(callee, "__name__", ""), None) is callee:
        return "Kernels have arithmetic, casts and the math table (sqrt, exp, min, max, ...)."
    return f"The math table has {', '.join(FUNCTIONS)}."
