"""Reads the signature of a kernel or a helper function from its annotations, without parsing its body."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from dataclasses import is_dataclass
from types import FunctionType
from typing import Any
from typing import Final

from pytest_xdevice.kernel.errors import KernelError
from pytest_xdevice.kernel.signature import Param
from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.kernel.types import In
from pytest_xdevice.kernel.types import InOut
from pytest_xdevice.kernel.types import Out
from pytest_xdevice.kernel.types import scalar_of_dtype
from pytest_xdevice.kernel.types import ScalarType

from .captured import Captured
from .source import read_source
from .source import Role

_EXAMPLE: Final = "such as 'a: In[f32, n]', 'b: Out[f32, n]' or 'alpha: f32'"
_UNREADABLE: Final = (NameError, TypeError, SyntaxError, AttributeError)  # what evaluating an annotation may raise
_PYTHON_TYPES: Final = {int: "i64", float: "f64", bool: "bool_"}


def read_signature(function: FunctionType, captured: Captured) -> Signature:
    """Return the signature that the annotations of `function` declare.

    Raises
    ------
    KernelError
        If a parameter has no annotation, or one that is no parameter's type.
    """
    params = tuple(_param(function, captured, parameter) for parameter in _plain_signature(function))
    signature = Signature(function.__name__, params)
    if not function.__name__.isascii():
        text = read_source(function)
        raise text.error(
            text.node, f"the kernel's name '{function.__name__}' is not ASCII.", "It becomes a symbol: use a to z."
        )
    for name in signature.dims:
        if any(param.name == name for param in params):
            raise _error(function, name, f"parameter '{name}' has the name of a dim.", "Rename one of them.")
    return signature


@dataclass(frozen=True)
class HelperParam:
    """One parameter of a helper function.

    Attributes
    ----------
    name : str
    type : ArrayType, ScalarType or None
        None where it has no annotation and takes whatever it is given.
    default : object
        `inspect.Parameter.empty` where it has none.
    """

    name: str
    type: ArrayType | ScalarType | None
    default: Any


@dataclass(frozen=True)
class HelperSignature:
    """What a helper function takes, and the annotation of what it returns: `inspect.Parameter.empty` for none."""

    plain: inspect.Signature
    params: dict[str, HelperParam]
    returns: Any


def read_helper_signature(function: FunctionType, captured: Captured) -> HelperSignature:
    """Return what the annotations and defaults of a helper function declare.

    Raises
    ------
    KernelError
        If an annotation is no type of the language, or a parameter stands for any number of arguments.
    """
    plain = _plain_signature(function, "helper")
    params: dict[str, HelperParam] = {}
    for parameter in plain:
        untyped = parameter.annotation is parameter.empty
        type_ = None if untyped else _annotated(function, captured, parameter, "helper")
        params[parameter.name] = HelperParam(parameter.name, type_, parameter.default)
    returns = inspect.signature(function).return_annotation
    if isinstance(returns, str):
        try:
            returns = _evaluated(returns, captured)
        except _UNREADABLE as error:
            text = read_source(function, "helper")
            raise text.error(
                text.node.returns or text.node, f"the type that it returns cannot be read: {error}.", "Write a type."
            ) from None
    return HelperSignature(inspect.Signature(plain), params, returns)


def _plain_signature(function: FunctionType, role: Role = "kernel") -> list[inspect.Parameter]:
    """Return the parameters, none of which stands for several arguments."""
    parameters = list(inspect.signature(function, follow_wrapped=False).parameters.values())
    for parameter in parameters:
        several = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if several or (role == "kernel" and parameter.kind == parameter.KEYWORD_ONLY):
            advice = f"A {role} has a fixed list of parameters."
            raise _error(function, parameter.name, f"parameter '{parameter.name}' is not a plain one.", advice, role)
    return parameters


def _param(function: FunctionType, captured: Captured, parameter: inspect.Parameter) -> Param:
    name = parameter.name
    if parameter.default is not parameter.empty:
        raise _error(function, name, f"parameter '{name}' has a default.", "Remove it: a launch gives every argument.")
    if parameter.annotation is parameter.empty and name in ("self", "cls") and _is_in_class(function):
        raise _error(
            function, name, f"the kernel is a method, and '{name}' an object.", f"Remove '{name}', or write a function."
        )
    if parameter.annotation is parameter.empty:
        raise _error(function, name, f"parameter '{name}' has no type.", f"Annotate it, {_EXAMPLE}.")
    return Param(name, _annotated(function, captured, parameter, "kernel"))


def _is_in_class(function: FunctionType) -> bool:
    outer = function.__qualname__.rpartition(".")[0]
    return bool(outer) and not outer.endswith("<locals>")


def _annotated(
    function: FunctionType, captured: Captured, parameter: inspect.Parameter, role: Role
) -> ArrayType | ScalarType:
    """Return the type that a parameter's annotation names."""
    name, annotation = parameter.name, parameter.annotation
    if isinstance(annotation, str):
        try:
            annotation = _evaluated(annotation, captured)
        except _UNREADABLE as error:
            raise _error(
                function, name, f"the type of '{name}' cannot be read: {error}.", f"Write one {_EXAMPLE}.", role
            ) from error
    return _type(function, name, annotation, role)


def _evaluated(annotation: Any, captured: Captured) -> Any:
    while isinstance(annotation, str):  # written as text, in a module where all annotations are kept as text
        annotation = captured.evaluate(annotation)
    return annotation


def _type(function: FunctionType, name: str, annotation: Any, role: Role) -> ArrayType | ScalarType:
    if isinstance(annotation, ArrayType):
        return annotation
    if isinstance(annotation, ScalarType):
        if annotation.name == "f16":
            raise _error(function, name, f"parameter '{name}' is a bare f16.", "Take an f32: f16 is for arrays.", role)
        return annotation
    raise _error(function, name, f"{_shown(annotation)} is no type of a parameter.", _advice(annotation), role)


def _shown(annotation: Any) -> str:
    plain = isinstance(annotation, type) and not hasattr(annotation, "__origin__")  # list[float] is, in Python 3.10
    return f"'{annotation.__name__}'" if plain else repr(annotation)


def _advice(annotation: Any) -> str:
    if isinstance(annotation, type) and annotation in _PYTHON_TYPES:
        return f"Write {_PYTHON_TYPES[annotation]}."
    if isinstance(annotation, Dim):
        return f"A dim needs no parameter: '{annotation.name}' can be read in the body as it is."
    if isinstance(annotation, type) and annotation.__module__ == "numpy" and annotation.__name__ != "ndarray":
        scalar = scalar_of_dtype(annotation)
        if scalar is not None:
            return f"Write {scalar}."
    if any(annotation is direction for direction in (In, Out, InOut)):
        return f"Write what it holds: {annotation.__name__}[f32, n]."
    return _advice_on_compound(annotation)


def _advice_on_compound(annotation: Any) -> str:
    """Return what to write instead of a type that has parts, such as a struct or a pointer."""
    base = getattr(annotation, "__mro__", ())
    names = {f"{each.__module__}.{each.__name__}" for each in base}
    if "_ctypes._Pointer" in names or "ctypes.c_void_p" in names:
        return "Kernels have no pointers: take an array, In[f32, n] or InOut[f32, n]."
    if "_ctypes._SimpleCData" in names:
        return "Write one of the language's types, such as i32 or f64."
    has_fields = is_dataclass(annotation) or tuple in base or getattr(annotation, "fields", None)
    if "_ctypes.Structure" in names or "_ctypes.Union" in names or has_fields:
        return "Kernels have no structs: take each field as a parameter, or an array for each."
    return f"Write a type {_EXAMPLE}."


def _error(function: FunctionType, name: str, message: str, advice: str, role: Role = "kernel") -> KernelError:
    """Return the error about the parameter `name`, at its place in the source."""
    text = read_source(function, role)
    arguments = text.node.args
    everyone = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    node: ast.AST = next(
        (argument for argument in everyone if argument is not None and argument.arg == name), text.node
    )
    return text.error(node, message, advice)
