"""What names mean in a kernel: parameters, locals and dims, and Python objects from outside of the function."""

from __future__ import annotations

import ast
from abc import ABC
from abc import abstractmethod
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from types import FunctionType
from typing import Any
from typing import Final

from pytest_xdevice.kernel.errors import KernelError
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.mathtable import FUNCTIONS
from pytest_xdevice.kernel.types import AnyArray
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.kernel.types import Extent
from pytest_xdevice.kernel.types import scalar_of_dtype
from pytest_xdevice.kernel.types import ScalarType

from .advice import a_kind
from .advice import instead_of
from .advice import instead_of_unknown
from .advice import nearest
from .advice import UNKNOWN
from .captured import Captured
from .captured import MISSING
from .nesting import check_nesting
from .operators import extent_of
from .operators import whole_constant
from .promote import Operand
from .promote import Refusal
from .promote import typed
from .promote import Weak
from .scope import Scope
from .source import KernelText
from .source import read_source
from .unsupported import describe
from .variables import Variables

_DEEPEST: Final = 32  # calls within calls: Python bounds how deep text may be indented, and its own recursion


class Names(ABC):
    """The names of a function at the place that is being read.

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

    @abstractmethod
    def visit(self, node: ast.expr) -> Operand:
        """Return the operand that `node` is.

        Raises
        ------
        KernelError
            At the innermost node that the language does not allow.
        """

    def typed(self, node: ast.expr) -> Expr:
        """Return `node` with a type of its own."""
        operand = self.visit(node)
        try:
            return typed(operand)
        except Refusal as refusal:
            raise self.refused(node, refusal) from None

    def refused(self, node: ast.AST, refusal: Refusal) -> KernelError:
        """Return `refusal` as an error at `node`."""
        return self.text.error(node, refusal.message, refusal.advice)

    def is_local(self, node: ast.expr) -> bool:
        """Say whether `node` is the name of a parameter or a local."""
        return isinstance(node, ast.Name) and (node.id in self.params or node.id in self.local_names)

    def is_outside(self, node: ast.expr) -> bool:
        """Say whether `node` is a name from outside of the function, or an attribute or item of one."""
        while isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
        return isinstance(node, ast.Name) and not self.is_local(node)

    def array_named(self, node: ast.expr) -> AnyArray | None:
        """Return the type of the array that `node` is the name of, or None."""
        if not isinstance(node, ast.Name):
            return None
        param = self.params.get(node.id)
        if param is None:
            return self.variables.array_type(node.id)
        return None if isinstance(param, ScalarType) else param

    def array_in_ir(self, name: str) -> str:
        """Return the name in the IR of the array that the source calls `name`."""
        return self.scope.arrays[name] if name in self.params else self.variables.read_array(name)

    def called(self, node: ast.expr) -> Any:
        """Return the Python object that `node` calls by a name from outside of the kernel, or None."""
        if not isinstance(node, ast.Call):
            return None
        root = node.func
        while isinstance(root, ast.Attribute):
            root = root.value
        return self.resolve(node.func) if isinstance(root, ast.Name) and not self.is_local(root) else None

    # --- of the function --------------------------------------------------------------------------------

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

    # --- from outside of it -----------------------------------------------------------------------------

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

    def _item(self, node: ast.Subscript) -> Any:
        """Return the item of a tuple from outside that a constant index picks."""
        owner, name = self.resolve(node.value), ast.unparse(node.value)
        if not isinstance(owner, tuple):
            self._check_constant(owner, node.value)
            raise self.text.error(node, f"'{name}' is a number, and is indexed.", "Only arrays and tuples can be.")
        index = whole_constant(self.visit(node.slice)) if not isinstance(node.slice, ast.Slice) else None
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
                return extent_of(self.dims[value.name], at)
            raise Refusal(
                f"the dim '{value.name}' is no extent of any parameter.", "Add it to an array, or pass an i64."
            )
        if isinstance(value, np.ndarray):
            raise Refusal(f"'{name}' is an array from outside of the kernel.", "Pass it as a parameter: In[f32, n].")
        if callable(value):
            raise Refusal(f"'{name}' is a function or type, not a number.", f"Call it: {name}(x).")
        raise Refusal(f"'{name}' is {a_kind(value)}, which kernels do not have.", instead_of(value, name))


@dataclass(frozen=True)
class Calls:
    """The calls that lead from a kernel to the function that is being read.

    Attributes
    ----------
    dims : mapping of str to Extent
        The dims of the kernel.
    stack : tuple of FunctionType
        The kernel's function, and each helper that the one before it calls.
    inline : callable
        Makes one more call of a helper a part of the kernel.
    level : int
        How many expressions stand around the last call, each in the next.
    """

    dims: Mapping[str, Extent]
    stack: tuple[FunctionType, ...]
    inline: Callable[[Names, ast.Call, FunctionType], Operand]
    level: int = 0
    _texts: dict[FunctionType, KernelText] = field(default_factory=dict)

    def text(self, helper: FunctionType) -> KernelText:
        """Return the source of a helper function, read once for a kernel.

        Raises
        ------
        KernelError
            If it cannot be read, or has an expression that nests too deep.
        """
        if helper not in self._texts:
            text = read_source(helper, "helper")
            check_nesting(text)
            self._texts[helper] = text
        return self._texts[helper]

    def entering(self, helper: FunctionType, level: int) -> Calls:
        """Return the calls that lead to the body of `helper`, which is called here within `level` expressions."""
        return replace(self, stack=(*self.stack, helper), level=level)

    def refuse_recursion(self, helper: FunctionType) -> None:
        """Refuse a call of a function that is being called already, or one too deep.

        Raises
        ------
        Refusal
            With the cycle.
        """
        if helper in self.stack:
            cycle = [*self.stack[self.stack.index(helper) :], helper]
            raise Refusal(
                f"'{helper.__name__}' calls itself: {' -> '.join(each.__name__ for each in cycle)}.",
                "There is no recursion in a kernel: write a loop.",
            )
        if len(self.stack) > _DEEPEST:
            raise Refusal(f"helpers call each other more than {_DEEPEST} deep.", "Write some of the bodies in place.")


def is_number(value: object) -> bool:
    """Tell whether `value`, from outside of a kernel, is a number in it."""
    import numpy as np

    return isinstance(value, (bool, int, float, np.generic, Dim))


def _plain(value: Any) -> Any:
    """Return an IntEnum and the like as the plain number that it is."""
    return int(value) if isinstance(value, int) else float(value)
