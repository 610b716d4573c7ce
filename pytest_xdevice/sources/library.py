"""Kernels in prebuilt libraries and object files."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING
from typing import Union

from ..errors import CompileError
from .call_site import CallSite
from .foreign import PrototypedKernel
from .trampoline import trampoline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..target import Target
    from ..toolchain.c_objects import Stamp
    from ..toolchain.elf import ElfFile
    from ..toolchain.parts import Parts
    from ..toolchain.parts import Workshop

PathText = Union[str, "os.PathLike[str]"]
_SHOWN_NAMES = 20


def library_kernel(path: PathText, prototype: str) -> LibraryKernel:
    """Make a kernel of a function in a library that was built for the device.

    Parameters
    ----------
    path : str or path
        A shared library (``.so``), a static one (``.a``) or an object file (``.o``), relative to the working directory
        or to the calling file. It is checked to be for the target before anything is sent. A shared library goes up
        beside the kernel; the libraries that it needs are looked for on the device.
    prototype : str
        The function's declaration, as for `c_kernel`. Nothing checks that it takes what that says.

    Returns
    -------
    LibraryKernel
        Nothing is read before it is used.
    """
    return LibraryKernel(os.fspath(path), prototype, CallSite.above())


class LibraryKernel(PrototypedKernel):
    """A kernel in a prebuilt library; made by `library_kernel`."""

    language = "a kernel in a prebuilt library"

    def __init__(self, path: str, prototype: str, site: CallSite) -> None:
        super().__init__(prototype, site)
        self._given = path
        self._seen: tuple[Stamp, object] | None = None

    def revision(self, target: Target) -> object:
        """Return the same object as long as the file stays as it is."""
        from ..toolchain.c_objects import Stamp

        stamp = Stamp.of(self._path)
        if self._seen is None or self._seen[0] != stamp:
            self._seen = stamp, object()
        return self._seen[1]

    def llvm_ir(self, target: Target) -> str:
        """Return the entry for `target`, which calls a function in a shared library by an address of the device's."""
        return trampoline(self.function, target, is_late=_is_shared(self._binary(self._given, target)))

    def parts(self, target: Target, workshop: Workshop) -> Parts:
        """Read the library, and check that it is for `target` and has the function.

        Raises
        ------
        CompileError
            If not.
        KernelError
            If there is a mistake in the prototype.
        """
        from ..toolchain.archive import elf_files
        from ..toolchain.c_compiler import link_units
        from ..toolchain.parts import Parts
        from ..toolchain.shared_library import SharedLibrary

        data = self._binary(self._given, target)
        self._check_symbol(elf_files(data))
        signature = self.function.signature_on(target)
        if _is_shared(data):
            shared = SharedLibrary(os.path.basename(self._given), data)
            return Parts(library=shared, symbol=self.name, signature=signature, place=self.place)

        def link(inputs: Sequence[bytes]) -> bytes:
            return link_units(workshop.c_compiler(target, self.name), inputs, target, "c", ())

        return Parts(objects=(data,), link=link, signature=signature, place=self.place)

    @property
    def _path(self) -> str:
        return os.path.join(*self._site.resolve(self._given))

    def _check_symbol(self, files: Sequence[ElfFile]) -> None:
        symbols = {symbol.name: symbol for file in files for symbol in file.symbols if symbol.defined}
        place = self._site.place_of(self.prototype)
        where = f"{place.filename}:{place.line}: the prototype names {self.name}, which"
        if self.name not in symbols:
            functions = sorted(name for name, symbol in symbols.items() if symbol.is_function)
            near = difflib.get_close_matches(self.name, functions, n=5) or functions[:_SHOWN_NAMES]
            raise CompileError(
                f"{where} {self._given} does not define; what it defines is {', '.join(near) or 'nothing'}"
                f"{' and others' if len(near) < len(functions) else ''}"
            )
        if not symbols[self.name].is_function:
            raise CompileError(f"{where} is no function in {self._given}, but data")


def _is_shared(data: bytes) -> bool:
    from ..toolchain.archive import is_archive
    from ..toolchain.elf import ElfFile

    return not is_archive(data) and ElfFile(data).is_shared
