"""Reads a kernel's signature from its annotations, without parsing its body."""

from __future__ import annotations

import ast
import inspect
from types import FunctionType
from typing import Any
from typing import Final

from .captured import Captured
from .errors import KernelError
from .signature import Param
from .signature import Signature
from .source import read_source
from .types import ArrayType
from .types import Dim
from .types import scalar_of_dtype
from .types import ScalarType

_EXAMPLE: Final = "such as 'a: In[f32, n]', 'b: Out[f32, n]' or 'alpha: f32'"
_PYTHON_TYPES: Final = {int: "i64", float: "f64", bool: "bool_"}


def read_signature(function: FunctionType, captured: Captured) -> Signature:
    """Return the signature that the annotations of `function` declare.

    Raises
    ------
    KernelError
        If a parameter has no annotation, or one that is no parameter's type.
    """
    params = tuple(
        _param(function, captured, parameter) for parameter in inspect.signature(function).parameters.values()
    )
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


def _param(function: FunctionType, captured: Captured, parameter: inspect.Parameter) -> Param:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY):
        raise _error(
            function, name, f"parameter '{name}' is not a plain one.", "A kernel has a fixed list of parameters."
        )
    if parameter.default is not parameter.empty:
        raise _error(function, name, f"parameter '{name}' has a default.", "Remove it: a launch gives every argument.")
    annotation = parameter.annotation
    if annotation is parameter.empty:
        raise _error(function, name, f"parameter '{name}' has no type.", f"Annotate it, {_EXAMPLE}.")
    if isinstance(annotation, str):
        try:
            while isinstance(annotation, str):  # written as text, in a module where all annotations are kept as text
                annotation = captured.evaluate(annotation)
        except (NameError, TypeError, SyntaxError, AttributeError) as error:
            raise _error(
                function, name, f"the type of '{name}' cannot be read: {error}.", f"Write one {_EXAMPLE}."
            ) from error
    return Param(name, _type(function, name, annotation))


def _type(function: FunctionType, name: str, annotation: Any) -> ArrayType | ScalarType:
    if isinstance(annotation, ArrayType):
        return annotation
    if isinstance(annotation, ScalarType):
        if annotation.name == "f16":
            raise _error(function, name, f"parameter '{name}' is a bare f16.", "Take an f32: f16 is for arrays.")
        return annotation
    raise _error(function, name, f"{_shown(annotation)} is no type of a parameter.", _advice(annotation))


def _shown(annotation: Any) -> str:
    return f"'{annotation.__name__}'" if isinstance(annotation, type) else repr(annotation)


def _advice(annotation: Any) -> str:
    if isinstance(annotation, type) and annotation in _PYTHON_TYPES:
        return f"Write {_PYTHON_TYPES[annotation]}."
    if isinstance(annotation, Dim):
        return f"A dim needs no parameter: '{annotation.name}' can be read in the body as it is."
    if isinstance(annotation, type) and annotation.__module__ == "numpy" and annotation.__name__ != "ndarray":
        scalar = scalar_of_dtype(annotation)
        if scalar is not None:
            return f"Write {scalar}."
    return f"Write a type {_EXAMPLE}."


def _error(function: FunctionType, name: str, message: str, advice: str) -> KernelError:
    """Return the error about the parameter `name`, at its place in the source."""
    text = read_source(function)
    arguments = text.node.args
    everyone = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    node: ast.AST = next(
        (argument for argument in everyone if argument is not None and argument.arg == name), text.node
    )
    return text.error(node, message, advice)
