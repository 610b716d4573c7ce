"""Print the expressions of a legal kernel as LLVM IR: instructions, and the register of their result."""

from __future__ import annotations

from collections.abc import Callable

from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Cast
from pytest_xdevice.kernel.ir import Compare
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import DimValue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Load
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Select
from pytest_xdevice.kernel.ir import Unary
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.kernel.types import f16
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import ScalarType

from .accesses import AccessGroups
from .instructions import Instructions
from .mathtable import TESTS
from .module import Module
from .spelling import array_name
from .spelling import comparison
from .spelling import conversion
from .spelling import dim_name
from .spelling import fast_flags
from .spelling import literal
from .spelling import local_name
from .spelling import memory
from .spelling import operation
from .spelling import param_name
from .spelling import register


class ExpressionPrinter:
    """Prints expressions to the instructions of a function."""

    def __init__(self, ir: KernelIR, module: Module, code: Instructions, accesses: AccessGroups) -> None:
        self._ir = ir
        self._module = module
        self._code = code
        self._accesses = accesses
        self._params = frozenset(param.name for param in ir.signature.params)
        self._flags = fast_flags(ir.fast)
        self._printers: dict[type, Callable[..., str]] = {
            Const: lambda expr: literal(expr.value, expr.type), Local: self._local,
            DimValue: lambda expr: dim_name(expr.name), Load: self._load, Unary: self._unary,
            Binary: self._binary, Compare: self._compare, Select: self._select, Cast: self._cast, Call: self._call,
        }  # fmt: skip

    def register(self, expr: Expr) -> str:
        """Print `expr` and return the register, or the constant, that is its value."""
        return self._printers[type(expr)](expr)

    def address(self, array: str, indices: tuple[Expr, ...]) -> str:
        """Return the address of an element of a C-contiguous array: that of its row, and from there that of itself.

        Rows are the same for all iterations of an inner loop, and their addresses are more easily seen to be so than
        parts of a sum.
        """
        array_type = self._ir.array(array)
        element = memory(array_type.element)
        address = array_name(array) if array in self._ir.arrays else param_name(array)
        *leading, last = indices
        if leading:
            row = self.register(leading[0])
            for extent, inner in zip(array_type.extents[1:], leading[1:], strict=False):
                row = self._code.value(f"add i64 {self._scaled(row, extent)}, {self.register(inner)}")
            address = self._beyond(address, element, self._scaled(row, array_type.extents[-1]))
        return self._beyond(address, element, self.register(last))

    def _scaled(self, index: str, extent: int | Dim) -> str:
        """Return `index` times an extent of an array."""
        size = dim_name(extent.name) if isinstance(extent, Dim) else str(extent)
        return self._code.value(f"mul i64 {index}, {size}")

    def _beyond(self, address: str, element: str, index: str) -> str:
        """Return the address that lies `index` elements beyond another."""
        width = self._module.pointer_bits
        if width < 64:
            index = self._code.value(f"trunc i64 {index} to i{width}")
        return self._code.value(f"getelementptr {element}, ptr {address}, i{width} {index}")

    # --- values ------------------------------------------------------------------------------------------

    def _local(self, expr: Local) -> str:
        if expr.name in self._params:
            return param_name(expr.name)
        return self._code.get(local_name(expr.name), expr.type)

    def _load(self, expr: Load) -> str:
        address = self.address(expr.array, expr.indices)
        return self._code.load(address, expr.type, self._accesses.of(expr.array))

    def _unary(self, expr: Unary) -> str:
        # Of the unary operators only the sign of a float is legal.
        return self._code.value(f"fneg {self._flags}{register(expr.type)} {self.register(expr.operand)}")

    def _binary(self, expr: Binary) -> str:
        left, right = self.register(expr.left), self.register(expr.right)
        flags = self._flags if expr.type.is_float else ""
        return self._code.value(f"{operation(expr.op, expr.type)} {flags}{register(expr.type)} {left}, {right}")

    def _compare(self, expr: Compare) -> str:
        left, right = self.register(expr.left), self.register(expr.right)
        scalar = expr.left.type
        return self._code.value(f"{comparison(expr.op, scalar)} {register(scalar)} {left}, {right}")

    def _select(self, expr: Select) -> str:
        condition, then, otherwise = (self.register(part) for part in (expr.condition, expr.then, expr.otherwise))
        kind = register(expr.type)
        return self._code.value(f"select i1 {condition}, {kind} {then}, {kind} {otherwise}")

    # --- casts -------------------------------------------------------------------------------------------

    def _cast(self, expr: Cast) -> str:
        value, source, target = self.register(expr.operand), expr.operand.type, expr.type
        if source == f16:
            value, source = self._converted_by("xd_f32_of_f16", f16, f32, value), f32
        if target == f16:
            # An integer that f32 would round is beyond the largest half, so that nothing is rounded twice.
            wide = f64 if source == f64 else f32
            return self._converted_by(f"xd_f16_of_{wide}", wide, f16, self._converted(value, source, wide))
        return self._converted(value, source, target)

    def _converted_by(self, function: str, source: ScalarType, target: ScalarType, value: str) -> str:
        """Print the call of one of the functions of `toolchain.half`."""
        operand, result = register(source), register(target)
        self._module.functions.declare(f"@{function}", f"declare {result} @{function}({operand})")
        return self._code.value(f"call {result} @{function}({operand} {value})")

    def _converted(self, value: str, source: ScalarType, target: ScalarType) -> str:
        """Print the conversion of `value` between types other than f16."""
        wide = self._module.functions.wide_conversion(source, target) if source.is_float != target.is_float else None
        if wide:
            return self._code.value(f"call {register(target)} {wide}({register(source)} {value})")
        if source.is_float and not target.is_float:
            symbol = self._module.functions.saturating_cast(source, target)
            return self._code.value(f"call {register(target)} {symbol}({register(source)} {value})")
        instruction = conversion(source, target)
        if not instruction:
            return value
        return self._code.value(f"{instruction} {register(source)} {value} to {register(target)}")

    # --- functions ---------------------------------------------------------------------------------------

    def _call(self, expr: Call) -> str:
        arguments = [self.register(argument) for argument in expr.arguments]
        scalar = expr.arguments[0].type
        if expr.function in TESTS:
            return self._class_test(expr.function, arguments[0], scalar)
        if scalar.is_float and expr.function in ("min", "max") and "full" in self._ir.fast:
            return self._extremum_of_numbers(expr.function, arguments, scalar)
        return self.call(expr.function, arguments, scalar)

    def call(self, function: str, arguments: list[str], scalar: ScalarType) -> str:
        """Print the call of a function of the math table on registers of one type."""
        callee = self._module.functions.callee(function, scalar, len(arguments))
        kind = register(scalar)
        operands = ", ".join(f"{kind} {argument}" for argument in arguments)
        return self._code.value(f"call {self._flags}{kind} {callee}({operands})")

    def _extremum_of_numbers(self, function: str, arguments: list[str], scalar: ScalarType) -> str:
        """Print min or max where there is no NaN: a comparison, which vectorises on every target."""
        (left, right), kind = arguments, register(scalar)
        predicate = "olt" if function == "min" else "ogt"
        left_wins = self._code.value(f"fcmp {self._flags}{predicate} {kind} {left}, {right}")
        return self._code.value(f"select {self._flags}i1 {left_wins}, {kind} {left}, {kind} {right}")

    def _class_test(self, function: str, value: str, scalar: ScalarType) -> str:
        absolute, predicate, bound = TESTS[function]
        kind = register(scalar)
        if absolute:
            callee = self._module.functions.callee("abs", scalar, 1)
            value = self._code.value(f"call {kind} {callee}({kind} {value})")
        return self._code.value(f"fcmp {predicate} {kind} {value}, {literal(bound, scalar)}")
