"""What the functions of one module of LLVM IR share."""

from __future__ import annotations

from .mathtable import MathFunctions


class Module:
    """Callees, metadata nodes, the pointer's width, and the parallel loops that became functions.

    Attributes
    ----------
    pointer_bits : int
        Width of a pointer on the target, 32 or 64.
    functions : MathFunctions
        What is called.
    loops : list of str
        The definitions of those loops.
    """

    def __init__(self, pointer_bits: int) -> None:
        self.pointer_bits = pointer_bits
        self.functions = MathFunctions(pointer_bits)
        self.loops: list[str] = []
        self._nodes: list[str] = []

    def node(self, text: str) -> str:
        """Add a metadata node and return its name; ``{self}`` in `text` stands for that name."""
        name = f"!{len(self._nodes)}"
        self._nodes.append(text.replace("{self}", name))
        return name

    def loop(self, properties: tuple[str, ...]) -> str:
        """Return what follows the branch of a loop that has `properties`, each the name of a metadata node."""
        if not properties:
            return ""
        return f", !llvm.loop {self.node('distinct !{' + ', '.join(('{self}', *properties)) + '}')}"

    @property
    def metadata(self) -> str:
        """The metadata nodes, a line each."""
        return "\n".join(f"!{number} = {text}" for number, text in enumerate(self._nodes))
