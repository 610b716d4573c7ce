"""Runs the typed IR in Python on NumPy scalars: what every target must agree with.

The IR becomes the text of a Python function, once for each kernel. Operands of a node have one type, so that NumPy's
scalar arithmetic is the language's: it wraps, divides by zero, and shifts as the language says it does.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import product
from typing import Any
from typing import Final

import numpy as np

from .ir import Assign
from .ir import Atomic
from .ir import Barrier
from .ir import Binary
from .ir import Break
from .ir import Call
from .ir import Cast
from .ir import Clear
from .ir import Compare
from .ir import Const
from .ir import Continue
from .ir import DimValue
from .ir import Evaluate
from .ir import Expr
from .ir import For
from .ir import If
from .ir import InlinedCall
from .ir import KernelIR
from .ir import Load
from .ir import Local
from .ir import Logic
from .ir import Parallel
from .ir import Result
from .ir import Return
from .ir import Select
from .ir import Stmt
from .ir import Store
from .ir import Unary
from .ir import While
from .scalar_operations import compare_and_swap
from .scalar_operations import floor_divide
from .scalar_operations import implementation
from .scalar_operations import power
from .scalar_operations import remainder
from .scalar_operations import saturating
from .traversal import has_barrier

__tracebackhide__: Final = True  # pytest ends with the line of the test

_BINARY: Final = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "shl": "<<", "shr": ">>",
    "and": "&", "or": "|", "xor": "^",
}  # fmt: skip
_COMPARE: Final = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_UNARY: Final = {"neg": "-", "invert": "~", "not": "~"}


def run(ir: KernelIR, arrays: Mapping[str, Any], scalars: Mapping[str, Any], dims: Mapping[str, int]) -> None:
    """Run a kernel; arrays are written in place.

    Parameters
    ----------
    ir : KernelIR
    arrays : mapping of str to numpy.ndarray
        Every array parameter, of its dtype and shape.
    scalars : mapping of str to numpy.generic
        Every scalar parameter, of its type.
    dims : mapping of str to int
        Every dim.

    Raises
    ------
    IndexError
        If an element outside of an array is read or written.
    """
    function = _compiled(ir)
    with np.errstate(all="ignore"):
        function(arrays, scalars, {name: np.int64(extent) for name, extent in dims.items()})


_CACHE: Final[dict[int, Callable[..., None]]] = {}


def _compiled(ir: KernelIR) -> Callable[..., None]:
    """Return the Python function of `ir`, made when it is first asked for."""
    key = id(ir)
    if key not in _CACHE:
        writer = _Writer(ir)
        code = compile(writer.text(), f"<kernel {ir.signature.name}>", "exec")
        exec(code, writer.names)
        _CACHE[key] = writer.names["kernel"]
        weakref.finalize(ir, _CACHE.pop, key)
    return _CACHE[key]


class _Writer:
    """Writes a kernel as the text of a Python function.

    Attributes
    ----------
    names : dict of str to object
        The globals that the text needs.
    """

    def __init__(self, ir: KernelIR) -> None:
        self._ir = ir
        self._lines: list[str] = []
        self._functions: list[str] = []  # those of the calls in the function that is being written
        self._depth = 1  # of that function's body
        self._calls = 0
        self._loops = 0
        self._iteration_depth: int | None = None  # of loops around the body of a work-group's item
        self.names: dict[str, Any] = {
            "product": product, "int64": np.int64, "map": map, "range": _range, "__tracebackhide__": True,
        }  # fmt: skip

    def text(self) -> str:
        """Return the text."""
        self._line(0, "def kernel(arrays, scalars, dims):")
        for param in self._ir.signature.params:
            if param.is_array:
                self._line(1, f"a_{param.name} = arrays[{param.name!r}]")
                self._line(1, f"at_{param.name} = checked({param.name!r}, a_{param.name}.shape)")
            else:
                self._line(1, f"v_{param.name} = scalars[{param.name!r}]")
        for name in self._ir.signature.dims:
            self._line(1, f"d_{name} = dims[{name!r}]")
        self.names |= {"checked": _checked_index, "zeros": np.zeros}
        for name, array in self._ir.arrays.items():
            self._line(1, f"at_{name} = checked({name!r}, {array.extents})")
        header, self._lines = self._lines, []
        self._block(self._ir.body, 1)
        return "\n".join([*header, *self._functions, *self._lines]) + "\n"

    def _line(self, depth: int, text: str) -> None:
        self._lines.append("    " * depth + text)

    def _block(self, statements: Sequence[Stmt], depth: int) -> None:
        for statement in statements:
            getattr(self, f"_{type(statement).__name__}")(statement, depth)
        if not statements:
            self._line(depth, "pass")

    def _Assign(self, node: Assign, depth: int) -> None:
        self._line(depth, f"v_{node.name} = {self.expr(node.value)}")

    def _Store(self, node: Store, depth: int) -> None:
        self._line(depth, f"{self._element(node.array, node.indices)} = {self.expr(node.value)}")

    def _Atomic(self, node: Atomic, depth: int) -> None:
        indices = ", ".join(self.expr(index) for index in node.indices)
        self._line(depth, f"place = at_{node.array}({indices})")
        self._line(depth, f"operands = ({', '.join(self.expr(operand) for operand in node.operands)},)")
        self._line(depth, f"old = a_{node.array}[place]")
        self.names["atomic_cas"] = compare_and_swap
        function = "atomic_cas"
        if node.op != "cas":
            function = f"atomic_{node.op}_{node.type.name}"
            self.names[function] = operator.add if node.op == "add" else implementation(node.op, node.type)
        self._line(depth, f"a_{node.array}[place] = {function}(old, *operands)")
        if node.result is not None:
            self._line(depth, f"v_{node.result} = old")

    def _Clear(self, node: Clear, depth: int) -> None:
        array = self._ir.arrays[node.array]
        self._line(depth, f"a_{node.array} = zeros({array.extents}, {array.element.dtype_name!r})")

    def _If(self, node: If, depth: int) -> None:
        self._line(depth, f"if {self.expr(node.condition)}:")
        self._block(node.then, depth + 1)
        while len(node.otherwise) == 1 and isinstance(node.otherwise[0], If):  # flat, since Python bounds the depth
            node = node.otherwise[0]
            self._line(depth, f"elif {self.expr(node.condition)}:")
            self._block(node.then, depth + 1)
        if node.otherwise:
            self._line(depth, "else:")
            self._block(node.otherwise, depth + 1)

    def _While(self, node: While, depth: int) -> None:
        self._line(depth, f"while {self.expr(node.condition)}:")
        self._loop(node.body, depth + 1)

    def _loop(self, body: Sequence[Stmt], depth: int) -> None:
        self._loops += 1
        self._block(body, depth)
        self._loops -= 1

    def _For(self, node: For, depth: int) -> None:
        bounds = ", ".join(self.expr(bound) for bound in (node.start, node.stop, node.step))
        self._line(depth, f"for v_{node.variable} in map(int64, range({bounds})):")
        self._loop(node.body, depth + 1)

    def _Parallel(self, node: Parallel, depth: int) -> None:
        variables = "".join(f"v_{variable}, " for variable in node.variables)
        starts = [self.expr(start) for start in node.starts] or ["0"] * len(node.extents)
        bounds = zip(starts, node.extents, strict=True)
        ranges = ", ".join(f"map(int64, range({start}, {self.expr(extent)}, 1))" for start, extent in bounds)
        if node.shared or has_barrier(node.body):
            self._groups(node, ranges, depth)
            return
        self._line(depth, f"for {variables}in product({ranges}):")
        self._block(node.body, depth + 1)

    def _groups(self, node: Parallel, ranges: str, depth: int) -> None:
        """Write a loop over work-groups, whose items are generators that stop at each barrier."""
        function = f"items_{len(self.names)}"
        variables = ", ".join(f"v_{variable}" for variable in node.variables)
        self.names |= {function: None, "groups": _groups, "together": _together, "undefined": _undefined}
        lines, functions, outer = self._lines, self._functions, self._depth
        self._lines, self._functions, self._depth = [], [], depth + 1
        self._iteration_depth = self._loops
        self._block(node.body, depth + 1)
        self._iteration_depth = None
        written = [*self._functions, *self._lines]  # calls see the item's own arrays
        self._lines, self._functions, self._depth = lines, functions, outer
        self._line(depth, f"def {function}({variables}):")
        self._lines += written
        self._line(depth + 1, "yield from ()")
        self._line(depth, f"for group in groups([{ranges}], {node.block}):")
        for name in node.shared:
            array = self._ir.arrays[name]
            self._line(depth + 1, f"a_{name} = undefined({array.extents}, {array.element.dtype_name!r})")
        self._line(depth + 1, f"together([{function}(*item) for item in group])")

    def _Barrier(self, node: Barrier, depth: int) -> None:
        self._line(depth, "yield")

    def _Break(self, node: Break, depth: int) -> None:
        self._line(depth, "break")

    def _Continue(self, node: Continue, depth: int) -> None:
        self._line(depth, "return" if self._iteration_depth == self._loops else "continue")

    def _Return(self, node: Return, depth: int) -> None:
        self._line(depth, "return")

    def _Result(self, node: Result, depth: int) -> None:
        self._line(depth, "return" if node.value is None else f"return {self.expr(node.value)}")

    def _Evaluate(self, node: Evaluate, depth: int) -> None:
        self._line(depth, self.expr(node.call))

    def expr(self, node: Expr) -> str:
        """Return the Python expression that computes `node`."""
        written: str = getattr(self, f"_expr_{type(node).__name__}")(node)
        return written

    def _expr_Const(self, node: Const) -> str:
        name = f"c_{len(self.names)}"
        self.names[name] = node.type.dtype.type(node.value)
        return name

    def _expr_Local(self, node: Local) -> str:
        return f"v_{node.name}"

    def _expr_DimValue(self, node: DimValue) -> str:
        return f"d_{node.name}"

    def _expr_Load(self, node: Load) -> str:
        return self._element(node.array, node.indices)

    def _expr_InlinedCall(self, node: InlinedCall) -> str:
        """Return a call of a Python function, defined at the top of the one that is being written."""
        name = f"call_{self._calls}_{node.helper if node.helper.isidentifier() else 'helper'}"
        self._calls += 1
        arguments = ", ".join(self.expr(binding.value) for binding in node.bindings)
        lines, functions = self._lines, self._functions
        self._lines, self._functions = [], []
        self._depth += 1
        self._block(node.body, self._depth)
        self._depth -= 1
        written = [*self._functions, *self._lines]
        self._lines = []
        self._line(self._depth, f"def {name}({', '.join(f'v_{binding.name}' for binding in node.bindings)}):")
        self._functions = [*functions, *self._lines, *written]
        self._lines = lines
        return f"{name}({arguments})"

    def _element(self, array: str, indices: Sequence[Expr]) -> str:
        return f"a_{array}[at_{array}({', '.join(self.expr(index) for index in indices)})]"

    def _expr_Unary(self, node: Unary) -> str:
        return f"({_UNARY[node.op]}{self.expr(node.operand)})"

    def _expr_Binary(self, node: Binary) -> str:
        if node.op == "pow":
            assert isinstance(node.right, Const)
            self.names["power"] = power
            return f"power({self.expr(node.left)}, {int(node.right.value)})"
        if node.op in ("floordiv", "mod") and node.type.is_float:
            self.names[node.op] = {"floordiv": floor_divide, "mod": remainder}[node.op]
            return f"{node.op}({self.expr(node.left)}, {self.expr(node.right)})"
        return f"({self.expr(node.left)} {_BINARY[node.op]} {self.expr(node.right)})"

    def _expr_Compare(self, node: Compare) -> str:
        return f"({self.expr(node.left)} {_COMPARE[node.op]} {self.expr(node.right)})"

    def _expr_Logic(self, node: Logic) -> str:
        return f"({self.expr(node.left)} {node.op} {self.expr(node.right)})"

    def _expr_Select(self, node: Select) -> str:
        return f"({self.expr(node.then)} if {self.expr(node.condition)} else {self.expr(node.otherwise)})"

    def _expr_Cast(self, node: Cast) -> str:
        target, source = node.type, node.operand.type
        name = f"to_{target.name}"
        if target.is_integer and source.is_float:
            name = f"saturate_{source.name}_{target.name}"
            self.names[name] = saturating(target)
        else:
            self.names[name] = target.dtype.type
        return f"{name}({self.expr(node.operand)})"

    def _expr_Call(self, node: Call) -> str:
        name = f"f_{node.function}_{node.arguments[0].type.name}"
        self.names[name] = implementation(node.function, node.arguments[0].type)
        return f"{name}({', '.join(self.expr(argument) for argument in node.arguments)})"


def _range(start: Any, stop: Any, step: Any) -> range:
    return range(int(start), int(stop), int(step)) if step else range(0)


def _groups(ranges: Sequence[Iterable[Any]], block: Sequence[int]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the items of each work-group; the last one of an axis may have fewer."""
    axes = [list(each) for each in ranges]
    cut = [
        [axis[first : first + size] for first in range(0, len(axis), size)]
        for axis, size in zip(axes, block, strict=True)
    ]
    for parts in product(*cut):
        yield list(product(*parts))


def _together(items: Sequence[Iterator[None]]) -> None:
    """Run every item up to its next barrier, in turns, until they end."""
    ended = object()
    waiting = list(items)
    while waiting:
        waiting = [item for item in waiting if next(item, ended) is not ended]


def _undefined(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Return a new array in which an element that is read before it is written shows: NaN, or bytes of 0xA5."""
    element = np.dtype(dtype)
    if element.kind == "f":
        return np.full(shape, np.nan, element)
    poison = True if element.kind == "b" else np.frombuffer(b"\xa5" * element.itemsize, element)[0]
    return np.full(shape, poison, element)


def _checked_index(array: str, shape: tuple[int, ...]) -> Callable[..., Any]:
    """Return a function that gives back indices that lie in `shape`."""
    if len(shape) == 1:
        extent = shape[0]

        def at(index: Any) -> Any:
            if 0 <= index < extent:
                return index
            raise IndexError(f"{array}[{index}] is outside of its {extent} elements")

        return at

    def at_all(*indices: Any) -> Any:
        for index, limit in zip(indices, shape, strict=True):
            if not 0 <= index < limit:
                where = ", ".join(str(each) for each in indices)
                raise IndexError(f"{array}[{where}] is outside of its shape {shape}")
        return indices

    return at_all
