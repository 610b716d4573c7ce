"""The arguments of a call of a helper function, bound to its parameters."""

from __future__ import annotations

import ast
import inspect
from types import FunctionType
from typing import Any

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.types import AnyArray
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.kernel.types import Extent
from pytest_xdevice.kernel.types import ScalarType

from .captured import Captured
from .expressions import Expressions
from .names import is_number
from .names import Names
from .parameters import HelperParam
from .parameters import HelperSignature
from .promote import coerce
from .promote import Operand
from .promote import Refusal
from .promote import typed
from .promote import Weak
from .promote import WeakSelect
from .promote import widens
from .scope import Scope
from .source import KernelText


class Arguments:
    """Binds the arguments of one call to the parameters of its helper.

    Attributes
    ----------
    bindings : list of Assign
        What gives the helper's scalar parameters their values.
    """

    def __init__(self, caller: Names, helper: FunctionType, name: str, text: KernelText, captured: Captured) -> None:
        self.bindings: list[Assign] = []
        self._left_out: list[HelperParam] = []
        self._caller = caller
        self._helper = helper
        self._name = name
        self._text = text
        self._captured = captured
        self._variables = caller.variables.of_a_call()
        self._params: dict[str, AnyArray | ScalarType] = {}
        self._arrays: dict[str, str] = {}
        self._dims: dict[str, Extent] = {}
        self._constants: dict[str, Any] = {}
        stores = (
            each for each in ast.walk(text.node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        )
        self._assigned = {each.id for each in stores}

    def bind(self, node: ast.Call, signature: HelperSignature) -> None:
        """Evaluate the arguments of `node`, in the order of the text.

        Raises
        ------
        KernelError
            If they do not fit.
        """
        given = self._matched(node, signature.plain)
        order = [*node.args, *(keyword.value for keyword in node.keywords)]
        for name, argument in sorted(given.items(), key=lambda item: order.index(item[1])):
            self._bind_one(signature.params[name], argument)
        self._left_out = [param for name, param in signature.params.items() if name not in given]

    def bind_defaults(self) -> None:
        """Give the parameters that were left out their defaults.

        Raises
        ------
        KernelError
            If one does not fit the type of its parameter.
        """
        for param in self._left_out:
            if isinstance(param.type, ArrayType):
                raise self._text.error(
                    self._default_node(param.name),
                    f"'{param.name}' is an array and has a default.",
                    "Remove it: every call names an array.",
                )
            if param.type is None and not is_number(param.default):
                self._constants[param.name] = param.default
            else:
                self._bind_default(param)

    def expressions(self) -> Expressions:
        """Return what makes IR of the expressions of the helper's body."""
        code = self._helper.__code__
        bound = {*self._params, *self._constants}
        scope = Scope(self._params, self._arrays, self._dims, self._constants)
        local_names = frozenset(code.co_varnames + code.co_cellvars) - bound
        calls = self._caller.calls.entering(self._helper, self._caller.level)
        return Expressions(self._text, self._captured, scope, self._variables, local_names, calls)

    def _matched(self, node: ast.Call, plain: inspect.Signature) -> dict[str, ast.expr]:
        """Return the argument of each parameter that is given one."""
        for argument in (*node.args, *node.keywords):
            if isinstance(argument, ast.Starred) or (isinstance(argument, ast.keyword) and argument.arg is None):
                sign = "*" if isinstance(argument, ast.Starred) else "**"
                raise self._caller.text.error(argument, f"'{sign}' cannot be used in a kernel.", "Write each value.")
        named = {str(keyword.arg): keyword.value for keyword in node.keywords}
        try:
            return dict(plain.bind(*node.args, **named).arguments)
        except TypeError as error:
            shown = ", ".join(str(parameter).partition(":")[0] for parameter in plain.parameters.values())
            raise self._caller.text.error(
                node, f"'{self._name}' is called with other arguments than it takes: {error}.",
                f"It is {self._name}({shown}).",
            ) from None  # fmt: skip

    def _bind_one(self, param: HelperParam, argument: ast.expr) -> None:
        array = self._caller.array_named(argument)
        if array is not None:
            assert isinstance(argument, ast.Name)
            self._bind_array(param, array, argument)
        elif isinstance(param.type, ArrayType):
            raise self._caller.text.error(
                argument, f"'{param.name}' of '{self._name}' is an array, {param.type!r}, and this is none.",
                "Give the name of an array parameter.",
            )  # fmt: skip
        elif param.type is None and self._is_object(argument):
            self._constants[param.name] = self._caller.resolve(argument)
        else:
            self._bind_scalar(param, self._caller.visit(argument), self._caller.text, argument)

    def _is_object(self, argument: ast.expr) -> bool:
        """Say whether `argument` names a type, a function, a tuple or the like: something that is no number."""
        if not isinstance(argument, (ast.Name, ast.Attribute)) or self._caller.is_local(argument):
            return False
        if isinstance(argument, ast.Attribute) and self._caller.is_local(argument.value):
            return False
        return not is_number(self._caller.resolve(argument))

    # --- arrays ---

    def _bind_array(self, param: HelperParam, given: AnyArray, argument: ast.Name) -> None:
        if isinstance(param.type, ScalarType):
            self._caller.visit(argument)  # says that an array is no number
        try:
            self._arrays[param.name] = self._caller.array_in_ir(argument.id)
        except Refusal as refusal:
            raise self._caller.text.error(argument, refusal.message, refusal.advice) from None
        self._params[param.name] = given
        if isinstance(param.type, ArrayType):
            self._check_array(param.name, param.type, given, argument)
            self._params[param.name] = ArrayType(given.element, given.extents, param.type.mode)

    def _check_array(self, name: str, wanted: ArrayType, given: AnyArray, argument: ast.Name) -> None:
        if (wanted.element, wanted.ndim) != (given.element, given.ndim):
            raise self._caller.text.error(
                argument, f"'{name}' of '{self._name}' is {wanted!r}, and '{argument.id}' is {given!r}.",
                f"Leave the type of '{name}' out to take any array, or pass one of its type.",
            )  # fmt: skip
        if wanted.mode != "in" and isinstance(given, ArrayType) and given.mode == "in":
            raise self._caller.text.error(
                argument, f"'{argument.id}' is an In array, and '{self._name}' takes {wanted!r}.",
                f"Annotate '{argument.id}' as InOut, or '{name}' as In.",
            )  # fmt: skip
        for axis, (extent, actual) in enumerate(zip(wanted.extents, given.extents, strict=True)):
            expected = self._dims.setdefault(extent.name, actual) if isinstance(extent, Dim) else extent
            if expected != actual:
                raise self._caller.text.error(
                    argument,
                    f"axis {axis} of '{name}' of '{self._name}' is {expected!r}, and '{argument.id}' has {actual!r}.",
                    f"Give the extents of '{name}' names of their own, or pass an array that fits.",
                )

    # --- scalars ---

    def _bind_default(self, param: HelperParam) -> None:
        node = self._default_node(param.name)
        outside = Expressions(
            self._text,
            self._captured,
            Scope({}, {}, {}),
            self._variables,
            frozenset(),
            self._caller.calls,
        )
        try:
            value = outside.constant(param.default, node)
        except Refusal as refusal:
            raise self._text.error(node, refusal.message, refusal.advice) from None
        self._bind_scalar(param, value, self._text, node)

    def _default_node(self, name: str) -> ast.expr:
        arguments = self._text.node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        defaults = dict(zip(reversed(positional), reversed(arguments.defaults), strict=False))
        defaults.update(
            (each, node) for each, node in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if node
        )
        return next(node for each, node in defaults.items() if each.arg == name)

    def _bind_scalar(self, param: HelperParam, operand: Operand, text: KernelText, node: ast.expr) -> None:
        """Bind a value: for a parameter that is not assigned a constant stays one, and without a type a literal."""
        stays = param.name not in self._assigned
        if param.type is None and isinstance(operand, Weak) and stays:
            self._constants[param.name] = operand.value
            return
        assert not isinstance(param.type, ArrayType)
        value = self._scalar(param, operand, text, node)
        if isinstance(value, Const) and stays:
            self._constants[param.name] = value.type.dtype.type(value.value)
            return
        line = self._text.node.lineno
        unique, _ = self._variables.declare(param.name, value.type, line)
        self._variables.mark(unique)
        self.bindings.append(Assign(unique, value, value.at, declares=True))

    def _scalar(self, param: HelperParam, operand: Operand, text: KernelText, node: ast.expr) -> Expr:
        type_ = param.type
        if not isinstance(type_, ScalarType):
            return typed(operand)
        reason = f"'{param.name}' of '{self._name}' is {type_}"
        if not isinstance(operand, (Weak, WeakSelect)) and not widens(operand.type, type_):
            raise text.error(node, f"{reason}, and this is {operand.type}.", f"Write {type_}(...) around it.")
        try:
            return coerce(operand, type_)
        except Refusal as refusal:
            raise text.error(node, f"{reason}: {refusal.message}", refusal.advice) from None
