"""How a C function takes its arguments and gives its result, and what a launch makes of each type."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
from typing import Final
from typing import Literal
from typing import TYPE_CHECKING

from ..kernel.signature import Param
from ..kernel.signature import Signature
from ..kernel.types import ArrayType
from ..kernel.types import PointerType
from ..kernel.types import SCALARS
from ..kernel.types import ScalarType

if TYPE_CHECKING:
    from ..target import Target

# "char" is signed on x86 and unsigned on Arm and RISC-V.
Kind = Literal["bool", "char", "int", "uint", "float"]
# No C parameter can have this name, which is a keyword.
RESULT: Final = "return"
_INT_BITS: Final = 32


@dataclass(frozen=True)
class Value:
    """A scalar that is passed by value.

    Attributes
    ----------
    kind : {"bool", "char", "int", "uint", "float"}
    bits : int
        Its width; 0 for one as wide as a pointer, such as ``long`` and ``size_t``.
    """

    kind: Kind
    bits: int

    @property
    def bound(self) -> ScalarType:
        """What a launch takes and a result comes back as: 64 bits for one as wide as a pointer."""
        return self._scalar(self.bits or 64)

    def element_on(self, target: Target) -> ScalarType:
        """Return what an array of them has for elements on `target`."""
        return self._scalar(self.bits_on(target))

    def _scalar(self, bits: int) -> ScalarType:
        if self.kind == "bool":
            return SCALARS["bool_"]
        letter = {"char": "i", "int": "i", "uint": "u", "float": "f"}[self.kind]
        return SCALARS[f"{letter}{bits}"]

    def bits_on(self, target: Target) -> int:
        """Return the width on `target`."""
        return self.bits or target.bits

    def llvm(self, target: Target) -> str:
        """Return the LLVM type in which it is passed on `target`."""
        if self.kind == "float":
            return {16: "half", 32: "float", 64: "double"}[self.bits]
        return "i1" if self.kind == "bool" else f"i{self.bits_on(target)}"

    def extension(self, target: Target) -> str:
        """Return LLVM's attribute for how a narrow integer fills its register on `target`; may be empty."""
        bits = self.bits_on(target)
        if self.kind == "float" or bits > _INT_BITS:
            return ""
        if bits == _INT_BITS:
            # RISC-V keeps 32-bit values sign-extended, unsigned ones as well.
            return "signext" if target.arch == "riscv64" else ""
        signed = self.kind == "int" or (self.kind == "char" and target.arch in ("x86_64", "i686"))
        return "signext" if signed else "zeroext"


@dataclass(frozen=True)
class Pointer:
    """An array that is passed by its address.

    Attributes
    ----------
    element : ScalarType or None
        None for bytes that only the kernel can tell.
    is_const : bool
        Whether the kernel only reads it.
    word : Value or None
        What the elements are where they are as wide as a pointer; `element` then has 64 bits.
    """

    element: ScalarType | None
    is_const: bool
    word: Value | None = None

    def on(self, target: Target) -> Pointer:
        """Return it with the elements that it has on `target`."""
        return self if self.word is None else replace(self, element=self.word.element_on(target))


@dataclass(frozen=True)
class Argument:
    """A parameter of a C function."""

    name: str
    type: Value | Pointer


@dataclass(frozen=True)
class Function:
    """A C function, as far as a caller must know it.

    Attributes
    ----------
    name : str
        Its symbol.
    arguments : tuple of Argument
    result : Value or None
        What it returns; None for ``void``.
    """

    name: str
    arguments: tuple[Argument, ...]
    result: Value | None = None

    @property
    def signature(self) -> Signature:
        """What a launch needs to know: the arguments in order, then an `Out` of shape () for the result."""
        params = [Param(argument.name, _bound(argument.type)) for argument in self.arguments]
        if self.result is not None:
            params.append(Param(RESULT, ArrayType(self.result.bound, (), "out")))
        return Signature(self.name, tuple(params))

    def signature_on(self, target: Target) -> Signature:
        """Return what a launch on `target` needs to know: there ``long *`` points to elements of a certain size."""
        arguments = tuple(
            replace(each, type=each.type.on(target)) if isinstance(each.type, Pointer) else each
            for each in self.arguments
        )
        return replace(self, arguments=arguments).signature


def _bound(kind: Value | Pointer) -> PointerType | ScalarType:
    if isinstance(kind, Value):
        return kind.bound
    return PointerType(kind.element, "in" if kind.is_const else "inout")
