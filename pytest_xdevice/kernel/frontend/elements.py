"""Elements and extents of arrays, as the source names them."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import DimValue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import Load
from pytest_xdevice.kernel.ir import Location
from pytest_xdevice.kernel.types import AnyArray
from pytest_xdevice.kernel.types import Extent
from pytest_xdevice.kernel.types import i64

from .names import Names
from .operators import extent_of
from .operators import whole_constant
from .promote import force
from .promote import integer_range
from .promote import Operand
from .promote import Refusal
from .promote import typed


@dataclass(frozen=True)
class Element:
    """An element of an array: what the source calls the array, what the IR does, its type, and the indices."""

    name: str
    array: str
    type: AnyArray
    indices: tuple[Expr, ...]


class Elements(Names):
    """Reads subscripts."""

    def visit_Subscript(self, node: ast.Subscript) -> Operand:
        shape = node.value
        if isinstance(shape, ast.Attribute) and shape.attr == "shape":
            array = self.array_named(shape.value)
            if array is not None:
                return self._extent(shape.value, array, node)
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

    def _index(self, array: str, extent: Extent, axis: int, node: ast.expr) -> Expr:
        if isinstance(node, ast.Slice):
            raise self.text.error(node, f"'{array}' is sliced.", "Write a loop over the elements.")
        operand = self.visit(node)
        value = whole_constant(operand)
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

    def _extent(self, base: ast.expr, type_: AnyArray, node: ast.Subscript) -> Operand:
        """Return the extent ``a.shape[k]`` of the array `base`."""
        array, axis = ast.unparse(base), whole_constant(self.visit(node.slice))
        if axis is None or not -type_.ndim <= axis < type_.ndim:
            wanted = " or ".join(f"{array}.shape[{k}]" for k in range(type_.ndim))
            raise Refusal(f"'{array}' has no such extent.", f"Write {wanted}: the index is a literal.")
        return extent_of(type_.extents[axis], self.text.location(node))


def _is_shape(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "shape"
