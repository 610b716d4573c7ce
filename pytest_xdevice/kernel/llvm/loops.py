"""Print parallel loops as functions of their own in LLVM IR, for threads to call with a part of the iterations."""

from __future__ import annotations

from dataclasses import replace

from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.passes.legalise import is_cheap
from pytest_xdevice.kernel.passes.phases import assigned_in
from pytest_xdevice.kernel.passes.phases import read_in
from pytest_xdevice.kernel.traversal import arrays_accessed
from pytest_xdevice.kernel.types import ScalarType
from pytest_xdevice.kernel.weights import loops_of
from pytest_xdevice.kernel.weights import own_weight
from pytest_xdevice.kernel.weights import UNKNOWN_ITERATIONS

from .module import Module
from .spelling import dim_name
from .spelling import identifier
from .spelling import local_name
from .spelling import param_name
from .spelling import register
from .statements import Body
from .statements import Bounds


class ThreadedBody(Body):
    """Prints a body that hands its parallel loops to the pool of `threads`."""

    def _outermost(self, statement: Parallel, bounds: list[Bounds]) -> None:
        """Have the threads run the loop, which becomes a function over a part of its outermost extent."""
        code = self._code
        loop = _LoopFunction(self._ir, self._module, statement)
        self._module.loops.append(loop.text())
        frame = code.frame(max(1, len(loop.arguments)))
        values = [name for _, name in loop.arguments[: len(loop.arguments) - len(loop.carried)]]
        values += [code.get(local_name(name), self._ir.locals[name]) for name in loop.carried]
        for number, ((kind, _), value) in enumerate(zip(loop.arguments, values, strict=True)):
            place = code.value(f"getelementptr i64, ptr {frame}, i32 {number}")
            code.emit(f"store {kind} {value}, ptr {place}, align 8")
        weight = self._weight(statement.body, assigned_in([statement]))
        for start, extent in bounds[1:]:
            weight = code.value(f"call i64 @xd.pool.weight(i64 {weight}, i64 {start}, i64 {extent})")
        (start, stop), *_ = bounds
        code.emit(f"call void @xd.pool.run(ptr {loop.chunk}, ptr {frame}, i64 {start}, i64 {stop}, i64 {weight})")

    def _weight(self, body: tuple[Stmt, ...], own: set[str]) -> str:
        """Print about how many innermost iterations one run of a parallel loop's body stands for.

        Lengths of inner loops count as far as they are known before it starts: free of the locals in `own`.
        """
        weight = str(own_weight(body))
        for loop in loops_of(body):
            inner = self._weight(loop.body, own)
            bounds = ("0", str(UNKNOWN_ITERATIONS))
            if isinstance(loop, For) and _is_known(loop, own):
                forward = isinstance(loop.step, Const) and loop.step.value == 1
                ends = (loop.start, loop.stop) if forward else (loop.stop, loop.start)
                bounds = (self._expressions.register(ends[0]), self._expressions.register(ends[1]))
            inner = self._code.value(f"call i64 @xd.pool.weight(i64 {inner}, i64 {bounds[0]}, i64 {bounds[1]})")
            weight = self._code.value(f"add i64 {weight}, {inner}")
        return weight


def _is_known(loop: For, own: set[str]) -> bool:
    """Tell whether the bounds of a loop can be computed where none of the locals in `own` has a value."""
    return is_cheap(loop.start) and is_cheap(loop.stop) and not read_in([replace(loop, body=())]) & own


class _LoopFunction(Body):
    """Prints one parallel loop as a function over a part of its outermost extent.

    Attributes
    ----------
    arguments : list of (str, str)
        Type and register of what the function takes from the kernel: parameters, dims, and locals that it reads.
    carried : list of str
        Those locals, which come last in `arguments`.
    chunk : str
        Symbol of ``void (ptr %frame, i64 %first, i64 %limit)``, which takes them from slots of 8 bytes.
    """

    def __init__(self, ir: KernelIR, module: Module, loop: Parallel) -> None:
        super().__init__(replace(ir, body=(loop,)), module)
        self._loop_itself = loop
        self._own = assigned_in([loop])
        self.carried = sorted((read_in([loop]) - self._own) & set(ir.locals))
        self._suffix = f"{len(module.loops)}.{ir.signature.name}"
        self.chunk = identifier("@", f"xd_chunk{self._suffix}")
        self.arguments: list[tuple[str, str]] = []
        for param in ir.signature.params:
            kind = register(param.type) if isinstance(param.type, ScalarType) else "ptr"
            self.arguments.append((kind, param_name(param.name)))
        self.arguments += [("i64", dim_name(name)) for name in ir.signature.dims]
        self.arguments += [(register(ir.locals[name]), _carried_name(name)) for name in self.carried]

    def text(self) -> str:
        """Return the definitions of the loop and of what calls it with a frame."""
        loaded, stored = arrays_accessed(self._ir.body)
        self._declare([*sorted(self._own), *self.carried], sorted((loaded | stored) & set(self._ir.arrays)))
        for name in self.carried:
            self._code.set(local_name(name), _carried_name(name), self._ir.locals[name])
        bounds = self._bounds(self._loop_itself)
        self._nest(self._loop_itself, [("%first", "%limit"), *bounds[1:]])
        self._code.end()
        symbol = identifier("@", f"xd_loop{self._suffix}")
        carried = [f"{kind} {name}" for kind, name in self.arguments[len(self.arguments) - len(self.carried) :]]
        loop = self._function(symbol, [*carried, "i64 %first", "i64 %limit"])
        return f"{loop}\n\n{self._caller(symbol)}"

    def _caller(self, symbol: str) -> str:
        lines = []
        for number, (kind, name) in enumerate(self.arguments):
            lines.append(f"  %at{number} = getelementptr i64, ptr %frame, i32 {number}")
            lines.append(f"  {name} = load {kind}, ptr %at{number}, align 8")
        arguments = [f"{kind} {name}" for kind, name in self.arguments]
        call = f"  call void {symbol}({', '.join([*arguments, 'i64 %first', 'i64 %limit'])})"
        head = f"define internal void {self.chunk}(ptr %frame, i64 %first, i64 %limit) nounwind {{"
        return "\n".join([head, *lines, call, "  ret void", "}"])


def _carried_name(name: str) -> str:
    return identifier("%", f"v.{name}")
