"""Straight-line functions of one f32: recorded as they are applied to a `Value`, spelled for LLVM, OpenCL C and NumPy.

Every spelling is the same sequence of the same operations, each rounded once, so that all give the same bits. There
are no branches, no memory and no calls, so that loops over them vectorise.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import Literal
from typing import Union

Type = Literal["f32", "u32", "u64", "bool"]
Operand = Union["Value", int, float]

_LLVM_TYPES: Final = {"f32": "float", "u32": "i32", "u64": "i64", "bool": "i1"}
_LLVM_FUNNEL: Final = {"@llvm.fshl.i32": "declare i32 @llvm.fshl.i32(i32, i32, i32)"}
_C_TYPES: Final = {"f32": "float", "u32": "uint", "u64": "ulong", "bool": "bool"}
_SIGNS: Final = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^", "shl": "<<", "shr": ">>",
    "lt": "<", "gt": ">", "eq": "==",
}  # fmt: skip
_LLVM_FLOAT: Final = {
    "add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "lt": "fcmp olt", "gt": "fcmp ogt", "eq": "fcmp oeq",
}  # fmt: skip
_LLVM_INTEGER: Final = {"shr": "lshr", "lt": "icmp ult", "gt": "icmp ugt", "eq": "icmp eq"}
_LLVM_CONVERSIONS: Final = {
    "bits": "bitcast", "from_bits": "bitcast", "signed": "sitofp", "widen": "zext", "narrow": "trunc",
}  # fmt: skip
_C_CONVERSIONS: Final = {
    "bits": "as_uint({})", "from_bits": "as_float({})", "signed": "(float)as_int({})", "widen": "(ulong){}",
    "narrow": "(uint){}",
}  # fmt: skip
# A shift by 32 has no meaning, hence the one by 1 first.
_FUNNEL: Final = "({0} << {2}) | (({1} >> {one}) >> ({2} ^ {last}))"
_PYTHON_CONVERSIONS: Final = {
    "bits": "{}.view(u32)", "from_bits": "{}.view(f32)", "signed": "f32({}.view(i32))", "widen": "u64({})",
    "narrow": "u32({} & low_half)",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One operation: operands are names of earlier results, or constants with their type."""

    result: str
    op: str
    operands: tuple[str | tuple[float, Type], ...]
    operand_type: Type
    type: Type


class Value:
    """A result on the way through a straight-line function; operators record further steps.

    Integers are unsigned and wrap. A Python number on the other side of an operator takes the type of this one.
    """

    def __init__(self, name: str, type: Type, steps: list[Step]) -> None:
        self.name = name
        self.type: Type = type
        self._steps = steps

    def _record(self, op: str, type: Type, *operands: Operand, operand_type: Type | None = None) -> Value:
        taken = operand_type or self.type
        spelled = tuple(each.name if isinstance(each, Value) else (each, taken) for each in operands)
        result = Value(f"v{len(self._steps)}", type, self._steps)
        self._steps.append(Step(result.name, op, spelled, taken, type))
        return result

    def __add__(self, other: Operand) -> Value:
        return self._record("add", self.type, self, other)

    def __sub__(self, other: Operand) -> Value:
        return self._record("sub", self.type, self, other)

    def __rsub__(self, other: Operand) -> Value:
        return self._record("sub", self.type, other, self)

    def __mul__(self, other: Operand) -> Value:
        return self._record("mul", self.type, self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return self._record("div", self.type, other, self)

    def __and__(self, other: Operand) -> Value:
        return self._record("and", self.type, self, other)

    def __or__(self, other: Operand) -> Value:
        return self._record("or", self.type, self, other)

    def __xor__(self, other: Operand) -> Value:
        return self._record("xor", self.type, self, other)

    def __lshift__(self, other: Operand) -> Value:
        return self._record("shl", self.type, self, other)

    def __rshift__(self, other: Operand) -> Value:
        return self._record("shr", self.type, self, other)

    def __lt__(self, other: Operand) -> Value:
        return self._record("lt", "bool", self, other)

    def __gt__(self, other: Operand) -> Value:
        return self._record("gt", "bool", self, other)

    def equals(self, other: Operand) -> Value:
        """Return whether this is equal to `other`."""
        return self._record("eq", "bool", self, other)

    def bits(self) -> Value:
        """Return the u32 of the same bits as this f32."""
        return self._record("bits", "u32", self)

    def from_bits(self) -> Value:
        """Return the f32 of the same bits as this u32."""
        return self._record("from_bits", "f32", self)

    def signed(self) -> Value:
        """Return this u32, read as a signed number, as the nearest f32."""
        return self._record("signed", "f32", self)

    def widen(self) -> Value:
        """Return this u32 as a u64."""
        return self._record("widen", "u64", self)

    def narrow(self) -> Value:
        """Return the low half of this u64."""
        return self._record("narrow", "u32", self)

    def shifted_in(self, low: Value, distance: Value) -> Value:
        """Return this u32 shifted left by 0 to 31 bits, with the first ones of `low` in their place."""
        return self._record("funnel", "u32", self, low, distance)

    def choose(self, then: Operand, otherwise: Operand, type: Type = "bool") -> Value:
        """Return `then` where this condition holds, else `otherwise`; of two numbers the `type` has to be told."""
        type_ = next((each.type for each in (then, otherwise) if isinstance(each, Value)), type)
        return self._record("select", type_, self, then, otherwise, operand_type=type_)


@dataclass(frozen=True)
class StraightLine:
    """A recorded function of one f32.

    Attributes
    ----------
    name : str
    steps : tuple of Step
    result : str
        The name of what it returns.
    """

    name: str
    steps: tuple[Step, ...]
    result: str

    @classmethod
    def record(cls, name: str, function: Callable[[Value], Value]) -> StraightLine:
        """Return what `function` does to its argument."""
        steps: list[Step] = []
        result = function(Value("x", "f32", steps))
        return cls(name, tuple(steps), result.name)

    @property
    def intrinsics(self) -> dict[str, str]:
        """The declarations that the LLVM function needs, by what they declare."""
        return _LLVM_FUNNEL if any(step.op == "funnel" for step in self.steps) else {}

    def llvm(self, symbol: str) -> str:
        """Return the definition of the LLVM function `symbol`, to be inlined."""
        lines = [f"  %{step.result} = {_llvm_step(step)}" for step in self.steps]
        head = f"define internal float {symbol}(float %x) alwaysinline nounwind willreturn memory(none) {{"
        return "\n".join([head, *lines, f"  ret float %{self.result}", "}"])

    def opencl(self, symbol: str) -> str:
        """Return the definition of the OpenCL C function `symbol`."""
        lines = [f"    {_C_TYPES[step.type]} {step.result} = {_c_step(step)};" for step in self.steps]
        return "\n".join([f"float {symbol}(float x)", "{", *lines, f"    return {self.result};", "}"])

    def python(self) -> Callable[[Any], Any]:
        """Return the function of an ``np.float32``; NumPy may warn of what is meant, such as an overflow."""
        import numpy as np

        types = {"f32": np.float32, "i32": np.int32, "u32": np.uint32, "u64": np.uint64}
        names: dict[str, Any] = {**types, "low_half": np.uint64(0xFFFFFFFF), "one": np.uint32(1), "last": np.uint32(31)}
        constants: dict[tuple[float, Type], str] = {}
        for step in self.steps:
            for value, type_ in (each for each in step.operands if not isinstance(each, str)):
                name = constants.setdefault((value, type_), f"c{len(constants)}")
                names[name] = np.dtype(types[type_]).type(value)
        lines = [f"    {step.result} = {_python_step(step, constants)}" for step in self.steps]
        text = "\n".join([f"def {self.name}(x):", *lines, f"    return {self.result}\n"])
        exec(compile(text, f"<elementary {self.name}>", "exec"), names)
        function: Callable[[Any], Any] = names[self.name]
        return function


def _llvm_step(step: Step) -> str:
    operands = [f"%{each}" if isinstance(each, str) else _llvm_constant(*each) for each in step.operands]
    type_ = _LLVM_TYPES[step.operand_type]
    if step.op in _LLVM_CONVERSIONS:
        return f"{_LLVM_CONVERSIONS[step.op]} {type_} {operands[0]} to {_LLVM_TYPES[step.type]}"
    if step.op == "select":
        return f"select i1 {operands[0]}, {type_} {operands[1]}, {type_} {operands[2]}"
    if step.op == "funnel":
        return f"call i32 @llvm.fshl.i32({', '.join(f'i32 {operand}' for operand in operands)})"
    spelled = (_LLVM_FLOAT if step.operand_type == "f32" else _LLVM_INTEGER).get(step.op, step.op)
    return f"{spelled} {type_} {operands[0]}, {operands[1]}"


def _llvm_constant(value: float, type: Type) -> str:
    if type != "f32":
        return str(int(value))
    return f"0x{struct.unpack('<Q', struct.pack('<d', _as_f32(value)))[0]:016X}"


def _c_step(step: Step) -> str:
    operands = [each if isinstance(each, str) else _c_constant(*each) for each in step.operands]
    if step.op in _C_CONVERSIONS:
        return _C_CONVERSIONS[step.op].format(operands[0])
    if step.op == "select":
        return f"{operands[0]} ? {operands[1]} : {operands[2]}"
    if step.op == "funnel":
        return _FUNNEL.format(*operands, one="1", last="31")
    return f"{operands[0]} {_SIGNS[step.op]} {operands[1]}"


def _c_constant(value: float, type: Type) -> str:
    if type == "f32":
        return f"{_as_f32(value).hex()}f"
    return f"0x{int(value):x}{'u' if type == 'u32' else 'UL'}"


def _python_step(step: Step, constants: dict[tuple[float, Type], str]) -> str:
    operands = [each if isinstance(each, str) else constants[each] for each in step.operands]
    if step.op in _PYTHON_CONVERSIONS:
        return _PYTHON_CONVERSIONS[step.op].format(operands[0])
    if step.op == "select":
        return f"{operands[1]} if {operands[0]} else {operands[2]}"
    if step.op == "funnel":
        return _FUNNEL.format(*operands, one="one", last="last")
    return f"{operands[0]} {_SIGNS[step.op]} {operands[1]}"


def _as_f32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
