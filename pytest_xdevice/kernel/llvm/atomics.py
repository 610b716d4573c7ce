"""Print atomic operations as LLVM IR."""

from __future__ import annotations

from pytest_xdevice.kernel.ir import Atomic
from pytest_xdevice.kernel.types import ScalarType

from .expressions import ExpressionPrinter
from .instructions import Instructions
from .spelling import BITS
from .spelling import local_name
from .spelling import register


class AtomicPrinter:
    """Prints operations that are ordered with others on the same element alone, as OpenCL's are."""

    def __init__(self, code: Instructions, expressions: ExpressionPrinter) -> None:
        self._code = code
        self._expressions = expressions

    def print(self, statement: Atomic) -> None:
        """Print an atomic operation, and keep what was there before where that is asked for."""
        address, scalar = self._expressions.address(statement.array, statement.indices), statement.type
        operands = [self._expressions.register(operand) for operand in statement.operands]
        if statement.op == "cas":
            old = self._exchange(address, scalar, *(self._bits(operand, scalar) for operand in operands))[0]
            old = self._number(old, scalar)
        elif scalar.is_float and statement.op != "add":
            old = self._float_extremum(statement.op, address, operands[0], scalar)
        else:
            operation = (
                f"{'f' * scalar.is_float}{'u' * (scalar.kind == 'uint' and statement.op != 'add')}{statement.op}"
            )
            operand = f"{register(scalar)} {operands[0]} monotonic, align {scalar.nbytes}"
            old = self._code.value(f"atomicrmw {operation} ptr {address}, {operand}")
        if statement.result is not None:
            self._code.set(local_name(statement.result), old, scalar)

    def _float_extremum(self, function: str, address: str, operand: str, scalar: ScalarType) -> str:
        """Print a loop around a compare-and-swap, since the language's min and max are not those of hardware."""
        head, end = self._code.labels("swap", "swapped")
        slot = self._code.slot(f"seen{self._code.number}", BITS[scalar.bits])
        first = f"load atomic {register(BITS[scalar.bits])}, ptr {address} monotonic, align {scalar.nbytes}"
        self._code.set(slot, self._code.value(first), BITS[scalar.bits])
        self._code.label(head)
        before = self._code.get(slot, BITS[scalar.bits])
        chosen = self._expressions.call(function, [self._number(before, scalar), operand], scalar)
        seen, done = self._exchange(address, scalar, before, self._bits(chosen, scalar))
        self._code.set(slot, seen, BITS[scalar.bits])
        self._code.branch(done, end, head)
        self._code.label(end)
        return self._number(before, scalar)

    def _exchange(self, address: str, scalar: ScalarType, expected: str, desired: str) -> tuple[str, str]:
        """Print a compare-and-swap of bits; return what was there, and whether it was what was expected."""
        bits = register(BITS[scalar.bits])
        values = f"{bits} {expected}, {bits} {desired}"
        pair = self._code.value(f"cmpxchg ptr {address}, {values} monotonic monotonic, align {scalar.nbytes}")
        seen = self._code.value(f"extractvalue {{ {bits}, i1 }} {pair}, 0")
        return seen, self._code.value(f"extractvalue {{ {bits}, i1 }} {pair}, 1")

    def _bits(self, value: str, scalar: ScalarType) -> str:
        bits = register(BITS[scalar.bits])
        return self._code.value(f"bitcast {register(scalar)} {value} to {bits}") if scalar.is_float else value

    def _number(self, bits: str, scalar: ScalarType) -> str:
        kind = register(BITS[scalar.bits])
        return self._code.value(f"bitcast {kind} {bits} to {register(scalar)}") if scalar.is_float else bits
