"""Print the statements of a legal kernel as the body of a function in LLVM IR."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Atomic
from pytest_xdevice.kernel.ir import Break
from pytest_xdevice.kernel.ir import Clear
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Continue
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Return
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Store
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.passes.uniform import divides_uniformly
from pytest_xdevice.kernel.signature import Param
from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.kernel.traversal import arrays_accessed
from pytest_xdevice.kernel.traversal import has_atomic
from pytest_xdevice.kernel.traversal import is_innermost
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType

from .accesses import AccessGroups
from .atomics import AtomicPrinter
from .expressions import ExpressionPrinter
from .instructions import Instructions
from .module import Module
from .spelling import ARRAY_ALIGN
from .spelling import array_name
from .spelling import dim_name
from .spelling import identifier
from .spelling import local_name
from .spelling import param_name
from .spelling import register

Bounds = tuple[str, str]


@dataclass(frozen=True)
class _Loop:
    """Where `continue` and `break` of a loop go."""

    latch: str
    exit: str


class Body:
    """Prints the body function of one legal kernel: locals are allocas, which LLVM turns into registers."""

    def __init__(self, ir: KernelIR, module: Module) -> None:
        self._ir = ir
        self._module = module
        self._code = Instructions()
        self._accesses = AccessGroups(module, ir.arrays)
        self._expressions = ExpressionPrinter(ir, module, self._code, self._accesses)
        self._loops: list[_Loop] = []
        self._depth = 0  # of parallel loops around this place
        self._printers: dict[type, Callable[..., None]] = {
            Assign: self._assign, Store: self._store, Atomic: AtomicPrinter(self._code, self._expressions).print,
            Clear: self._clear, If: self._if, While: self._while, For: self._for, Parallel: self._parallel,
            Break: self._break, Continue: self._continue, Return: self._return,
        }  # fmt: skip

    def text(self) -> str:
        """Return the definition of the function."""
        self._declare(self._ir.locals, self._ir.arrays)
        self._block(self._ir.body)
        self._code.end()
        return self._function(body_symbol(self._ir.signature))

    def _declare(self, names: Iterable[str], arrays: Iterable[str]) -> None:
        for name in names:
            self._code.slot(f"l.{name}", self._ir.locals[name])
        for name in arrays:
            self._code.array(name, self._ir.arrays[name])

    def _function(self, symbol: str, more: Iterable[str] = ()) -> str:
        """Return the definition of what was printed, with parameters beyond the kernel's in `more`."""
        loaded, stored = arrays_accessed(self._ir.body)
        escapes = bool(self._module.loops)
        signature = self._ir.signature
        params = [_parameter(param, param.name in loaded, param.name in stored, escapes) for param in signature.params]
        params += [f"i64 {dim_name(name)}" for name in signature.dims]
        head = f"define internal void {symbol}({', '.join([*params, *more])}) alwaysinline nounwind {{"
        return "\n".join([head, "entry:", *self._code.lines, "}"])

    def _block(self, statements: Iterable[Stmt]) -> None:
        for statement in statements:
            if self._code.is_terminated:  # what follows break, continue or return is never reached
                return
            self._printers[type(statement)](statement)

    # --- writing -----------------------------------------------------------------------------------------

    def _assign(self, statement: Assign) -> None:
        value = self._expressions.register(statement.value)
        self._code.set(local_name(statement.name), value, self._ir.locals[statement.name])

    def _store(self, statement: Store) -> None:
        address = self._expressions.address(statement.array, statement.indices)
        value = self._expressions.register(statement.value)
        self._code.store(address, value, statement.value.type, self._accesses.of(statement.array))

    def _clear(self, statement: Clear) -> None:
        array = self._ir.arrays[statement.array]
        memset, width = self._module.functions.memset(), self._module.pointer_bits
        pointer = f"ptr align {ARRAY_ALIGN} {array_name(statement.array)}"
        self._code.emit(f"call void {memset}({pointer}, i8 0, i{width} {array.nbytes}, i1 false)")

    # --- branches and loops ------------------------------------------------------------------------------

    def _if(self, statement: If) -> None:
        then, otherwise, end = self._code.labels("then", "else", "endif")
        condition = self._expressions.register(statement.condition)
        self._code.branch(condition, then, otherwise if statement.otherwise else end)
        self._code.label(then)
        self._block(statement.then)
        self._code.jump(end)
        if statement.otherwise:
            self._code.label(otherwise)
            self._block(statement.otherwise)
        self._code.label(end)

    def _while(self, statement: While) -> None:
        head, body, end = self._code.labels("while", "do", "endwhile")
        self._code.label(head)
        self._code.branch(self._expressions.register(statement.condition), body, end)
        self._code.label(body)
        with self._loop(head, end):
            self._block(statement.body)
        self._code.jump(head)
        self._code.label(end)

    def _for(self, statement: For) -> None:
        start, stop = self._expressions.register(statement.start), self._expressions.register(statement.stop)
        forward = isinstance(statement.step, Const) and statement.step.value == 1
        self._counted(statement.variable, (start, stop), statement.body, forward=forward)

    def _parallel(self, statement: Parallel) -> None:
        bounds = self._bounds(statement)
        if self._depth == 0:
            self._outermost(statement, bounds)
        else:  # a loop over the items of a work-group
            with self._accesses.items():
                self._nest(statement, bounds)

    def _bounds(self, statement: Parallel) -> list[Bounds]:
        extents = [self._expressions.register(extent) for extent in statement.extents]
        starts = [self._expressions.register(start) for start in statement.starts] or ["0"] * len(extents)
        return list(zip(starts, extents, strict=True))

    def _outermost(self, statement: Parallel, bounds: list[Bounds]) -> None:
        """Print a parallel loop that stands in no other."""
        self._nest(statement, bounds)

    def _nest(self, statement: Parallel, bounds: list[Bounds], depth: int = 0) -> None:
        """Print the loops of a parallel nest from `depth` inwards, the last variable innermost."""
        self._depth += 1
        last = depth == len(bounds) - 1
        body = statement.body if last else (lambda: self._nest(statement, bounds, depth + 1))
        # Where there is an atomic operation, nothing is said of the iterations' order.
        with self._accesses.loop(independent=not has_atomic(statement.body)) as properties:
            self._counted(statement.variables[depth], bounds[depth], body, forward=True, properties=properties)
        self._depth -= 1

    def _counted(
        self,
        variable: str,
        bounds: Bounds,
        body: tuple[Stmt, ...] | Callable[[], None],
        *,
        forward: bool,
        properties: tuple[str, ...] = (),
    ) -> None:
        """Print a loop over a hidden counter, so that the variable may be assigned to and keeps its last value."""
        code = self._code
        head, inside, latch, end = code.labels("for", "do", "next", "endfor")
        counter = code.slot(f"c.{variable}.{code.number}", i64)
        code.set(counter, bounds[0], i64)
        code.label(head)
        value = code.get(counter, i64)
        test = code.value(f"icmp {'slt' if forward else 'sgt'} i64 {value}, {bounds[1]}")
        code.branch(test, inside, end)
        code.label(inside)
        code.set(local_name(variable), value, i64)
        with self._loop(latch, end):
            if callable(body):
                body()
            else:
                properties += self._hints(variable, body)
                self._block(body)
        code.label(latch)
        # The counter was on the near side of the bound, so that one more step cannot wrap.
        following = code.value(f"add nsw i64 {code.get(counter, i64)}, {1 if forward else -1}")
        code.set(counter, following, i64)
        code.jump(head, self._module.loop(properties))
        code.label(end)

    def _hints(self, variable: str, body: tuple[Stmt, ...]) -> tuple[str, ...]:
        """Return the metadata nodes that keep LLVM from what it does wrongly with a loop, or let it do what it may."""
        if divides_uniformly(variable, body):
            return (self._module.node('!{!"llvm.loop.vectorize.enable", i1 false}'),)
        # NEON of 32-bit Arm flushes subnormals, so that LLVM keeps floats out of it unless it is told otherwise.
        if self._module.pointer_bits == 32 and "reassoc" in self._ir.fast and is_innermost(body):
            return (self._module.node('!{!"llvm.loop.vectorize.enable", i1 true}'),)
        return ()

    @contextmanager
    def _loop(self, latch: str, exit_label: str) -> Iterator[None]:
        self._loops.append(_Loop(latch, exit_label))
        yield
        self._loops.pop()

    def _break(self, _: Break) -> None:
        self._code.jump(self._loops[-1].exit)

    def _continue(self, _: Continue) -> None:
        self._code.jump(self._loops[-1].latch)

    def _return(self, _: Return) -> None:
        self._code.end()


def body_symbol(signature: Signature) -> str:
    """Return the name of a kernel's body function."""
    return identifier("@", f"xd_body.{signature.name}")


def _parameter(param: Param, loaded: bool, stored: bool, escapes: bool) -> str:
    """Return a parameter of the body function with what holds of it; it escapes where threads are handed it."""
    name = param_name(param.name)
    if isinstance(param.type, ScalarType):
        return f"{register(param.type)} {name}"
    assert isinstance(param.type, ArrayType)
    access = "" if loaded and stored else ("readonly " if loaded else "writeonly ")
    kept = "" if escapes else "captures(none) "
    return f"ptr noalias {access}{kept}align {param.type.element.nbytes} {name}"
