"""What a kernel in another language brings to be linked with its entry, and the tools that it is made with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Final
from typing import TYPE_CHECKING

from pytest_xdevice.errors import CompileError

from .archive import is_archive
from .c_compiler import CCompiler
from .cache import Cache
from .cache import write_atomically
from .find_c_compilers import find_c_compilers
from .linker import Linker
from .shared_library import SharedLibrary

if TYPE_CHECKING:
    from pytest_xdevice.kernel.signature import Signature
    from pytest_xdevice.target import Target

# Links with the libraries of the compiler that made the objects.
Link = Callable[[Sequence[bytes]], bytes]


@dataclass(frozen=True)
class Parts:
    """What is linked with the entry, and what a reader may want to see.

    Attributes
    ----------
    objects : tuple of bytes
        Object files and static libraries.
    link : callable, optional
        Links all with the compiler's own libraries, where the linkers of this package do not know a symbol.
    library : SharedLibrary, optional
        The library in which the kernel is; the entry then calls it by an address that the device finds.
    symbol : str
        The kernel's name in `library`.
    source : str
        The kernel's source, where there is one.
    sources : mapping of str to str
        All of its sources, by names that go with those of the objects.
    is_whole : bool
        Whether the IR of the entry is that of the kernel as well.
    optimise : bool
        Whether that IR is optimised, or left as it is.
    llvm_ir, assembly : callable, optional
        Make the listings when they are first asked for.
    commands : tuple of str
        How the objects were made, one a line.
    signature : Signature, optional
        What a launch takes on this target, where that is not the same on all.
    place : str
        Where the kernel was made, for messages.
    """

    objects: tuple[bytes, ...] = ()
    link: Link | None = None
    library: SharedLibrary | None = None
    symbol: str = ""
    source: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = False
    optimise: bool = True
    llvm_ir: Callable[[], str] | None = None
    assembly: Callable[[], str] | None = None
    commands: tuple[str, ...] = ()
    signature: Signature | None = None
    place: str = ""

    def files(self, linker: Linker | None, target: Target) -> dict[str, bytes]:
        """Return the objects by the names that the commands call them, their sources, and the commands."""
        named = {f"{index}.{'a' if is_archive(data) else 'o'}": data for index, data in enumerate(self.objects, 1)}
        lines = list(self.commands)
        if linker is not None:
            lines.append(f"{linker.line(target)} entry.o {' '.join(named)}")
        texts = {**self.sources, "commands.txt": "".join(f"{line}\n" for line in lines)}
        return {**named, **{name: text.encode(errors="surrogateescape") for name, text in texts.items()}}

    @property
    def digest(self) -> str:
        """Changes with the content of anything that is linked or goes up."""
        digest = hashlib.sha256()
        library = (self.library.data,) if self.library else ()
        for data in (*self.objects, *library, self.symbol.encode()):
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        digest.update(b"" if self.optimise else b"as it is")
        return digest.hexdigest()


NO_PARTS: Final = Parts()


@dataclass(frozen=True)
class Workshop:
    """The tools that sources in other languages are given.

    Attributes
    ----------
    cache : Cache
        Keeps what was compiled.
    """

    cache: Cache

    def c_compiler(self, target: Target, kernel: str) -> CCompiler:
        """Return the compiler of C for `target`.

        Raises
        ------
        CompileError
            If there is none; `kernel` is what it was for.
        """
        for compiler in find_c_compilers():
            if compiler.serves(target):
                return compiler
        raise CompileError(
            f"no C compiler for {target.triple} on this host, which the kernel {kernel} needs: install one with "
            "python -m pip install 'pytest-xdevice[toolchain]', or a cross compiler, such as Debian's "
            "gcc-aarch64-linux-gnu"
        )

    def file_of(self, name: str, text: str) -> Path:
        """Return a file called `name` that holds `text`, the same one each time.

        Raises
        ------
        CompileError
            If it cannot be written.
        """
        path = self.cache.directory / "sources" / hashlib.sha256(text.encode()).hexdigest()[:16] / name
        if not path.exists() and not write_atomically(path, text.encode()):
            raise CompileError(f"cannot write {path}: name a cache directory that can be written")
        return path
