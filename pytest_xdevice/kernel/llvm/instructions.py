"""The instructions of one function in LLVM IR, as they are printed one after the other."""

from __future__ import annotations

from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import LocalArray
from pytest_xdevice.kernel.types import ScalarType

from .spelling import aggregate
from .spelling import ARRAY_ALIGN
from .spelling import array_name
from .spelling import identifier
from .spelling import memory
from .spelling import register


class Instructions:
    """Registers, blocks and stack slots, numbered as they come.

    Attributes
    ----------
    number : int
        How many registers and groups of labels there are so far.
    is_terminated : bool
        Whether the block has ended, so that what follows would never be reached.
    """

    def __init__(self) -> None:
        self.number = 0
        self.is_terminated = False
        self._lines: list[str] = []
        self._allocas: list[str] = []

    @property
    def lines(self) -> list[str]:
        """The lines of the function, stack slots first."""
        return [*self._allocas, *self._lines]

    def emit(self, text: str) -> None:
        """Add an instruction that has no result, or one that nobody uses."""
        self._lines.append(f"  {text}")

    def value(self, text: str) -> str:
        """Add an instruction and return the register of its result."""
        name = self._fresh()
        self.emit(f"{name} = {text}")
        return name

    def _fresh(self) -> str:
        self.number += 1
        return f"%x{self.number}"

    def labels(self, *names: str) -> tuple[str, ...]:
        """Return labels that belong together, of one number."""
        self.number += 1
        return tuple(f"{name}{self.number}" for name in names)

    def jump(self, label: str, suffix: str = "") -> None:
        """End the block, if it has not ended yet."""
        if not self.is_terminated:
            self.emit(f"br label %{label}{suffix}")
            self.is_terminated = True

    def branch(self, condition: str, then: str, otherwise: str) -> None:
        """End the block by a choice."""
        self.emit(f"br i1 {condition}, label %{then}, label %{otherwise}")
        self.is_terminated = True

    def end(self) -> None:
        """End the function here, if it has not ended yet."""
        if not self.is_terminated:
            self.emit("ret void")
            self.is_terminated = True

    def label(self, label: str) -> None:
        """Start a block; what comes before it falls through."""
        self.jump(label)
        self._lines.append(f"{label}:")
        self.is_terminated = False

    def slot(self, name: str, scalar: ScalarType) -> str:
        """Make room for a scalar on the stack and return its address."""
        address = identifier("%", name)
        self._allocas.append(f"  {address} = alloca {register(scalar)}, align {scalar.nbytes}")
        return address

    def array(self, name: str, array: LocalArray) -> None:
        """Make room for a local array on the stack."""
        self._allocas.append(f"  {array_name(name)} = alloca {aggregate(array)}, align {ARRAY_ALIGN}")

    def frame(self, slots: int) -> str:
        """Make room for `slots` values of up to 8 bytes on the stack and return its address."""
        name = f"%{self.labels('frame')[0]}"
        self._allocas.append(f"  {name} = alloca [{slots} x i64], align 8")
        return name

    def set(self, address: str, value: str, scalar: ScalarType) -> None:
        """Write a scalar to its slot."""
        self.emit(f"store {register(scalar)} {value}, ptr {address}, align {scalar.nbytes}")

    def get(self, address: str, scalar: ScalarType) -> str:
        """Read a scalar from its slot."""
        return self.value(f"load {register(scalar)}, ptr {address}, align {scalar.nbytes}")

    def load(self, address: str, scalar: ScalarType, suffix: str = "") -> str:
        """Read a scalar from memory outside of the function, where a bool_ is a byte."""
        name = self._fresh()
        self._lines += load_lines(name, address, scalar, suffix)
        return name

    def store(self, address: str, value: str, scalar: ScalarType, suffix: str = "") -> None:
        """Write a scalar to memory outside of the function."""
        if scalar == bool_:
            value = self.value(f"zext i1 {value} to i8")
        self.emit(f"store {memory(scalar)} {value}, ptr {address}, align {scalar.nbytes}{suffix}")


def load_lines(name: str, address: str, scalar: ScalarType, suffix: str = "") -> list[str]:
    """Return the lines that load a scalar from memory into the register `name`."""
    loaded = f"load {memory(scalar)}, ptr {address}, align {scalar.nbytes}{suffix}"
    if scalar != bool_:
        return [f"  {name} = {loaded}"]
    byte = f'{name[:-1]}.byte"' if name.endswith('"') else f"{name}.byte"
    return [f"  {byte} = {loaded}", f"  {name} = icmp ne i8 {byte}, 0"]
