"""A library that refers to every symbol that the stub libraries have: a loader accepts it where all of them exist."""

from __future__ import annotations

from pytest_xdevice.target import Target
from pytest_xdevice.toolchain.libraries import libraries_for
from tests.toolchain.text_kernel import SCALE


def every_symbol_text(target: Target) -> str:
    """Return the LLVM text of a kernel with a table of the addresses of all symbols."""
    # Compiler-rt of half precision came with GCC 12, later than the rest, and is used only where it is needed.
    names = [
        name for library in libraries_for(target) for name in library.symbols if not name.endswith(("hf2", "hfsf2"))
    ]
    declared = "".join(f"declare void @{name}()\n" for name in dict.fromkeys(names))
    table = ", ".join(f"ptr @{name}" for name in names)
    return f"{SCALE}{declared}@every = constant [{len(names)} x ptr] [{table}]\n"
