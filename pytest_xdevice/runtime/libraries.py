"""Shared libraries that the host sent, loaded into the worker."""

from __future__ import annotations

import ctypes
import os
import subprocess
from contextlib import suppress
from typing import Any
from typing import Dict
from typing import Optional
from typing import Sequence

from .launch import DeviceProblem

_LINK_SECONDS = 60.0


class Libraries:
    """The libraries of one worker, by their keys.

    Parameters
    ----------
    directory : str
        Where their files go.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._libraries: Dict[str, Any] = {}

    def load(self, key: str, data: bytes, is_linked: bool, callee: Optional[Sequence[str]] = None) -> Any:
        """Load a library, after linking it here when it comes as a relocatable object, and return it.

        Parameters
        ----------
        key : str
        data : bytes
        is_linked : bool
        callee : pair of str, optional
            The key of another library, and which function of it this one's entry calls.

        Raises
        ------
        DeviceProblem
            If it cannot be linked or loaded here.
        """
        if key in self._libraries:
            return self._libraries[key]
        if not is_linked:
            data = self._link(key, data)
        try:
            library = _load_library(data, os.path.join(self._directory, key[:16] + ".so"))
        except OSError as error:
            raise DeviceProblem("LoadError", f"the device cannot load the kernel: {error}{_advice(error)}") from None
        if callee:
            _connect(library, self.symbol(*callee))
        self._libraries[key] = library
        return library

    def load_named(self, key: str, data: bytes, name: str) -> None:
        """Load a library that others made, with the libraries that it needs, which are the device's own."""
        if key in self._libraries:
            return
        folder = os.path.join(self._directory, key[:16])
        try:
            os.makedirs(folder, exist_ok=True)
            self._libraries[key] = _load_library(data, os.path.join(folder, name))
        except OSError as error:
            raise DeviceProblem("LoadError", f"the device cannot load {name}: {error}{_advice(error)}") from None

    def symbol(self, key: str, name: str) -> Any:
        """Return a function of a library."""
        try:
            return getattr(self._libraries[key], name)
        except AttributeError:
            raise DeviceProblem("LoadError", f"the library has no symbol {name}") from None

    def _link(self, key: str, data: bytes) -> bytes:
        source = os.path.join(self._directory, key[:16] + ".o")
        target = os.path.join(self._directory, key[:16] + ".linked.so")
        try:
            with open(source, "wb") as file:
                file.write(data)
        except OSError as error:
            raise DeviceProblem("LinkError", f"the device has no room to link the kernel in: {error}") from None
        command = [os.environ.get("CC", "cc"), "-shared", "-o", target, source, "-lm", "-lpthread"]
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_LINK_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeviceProblem("NoLinker", f"the device's own compiler cannot link: {error}") from None
        if done.returncode:
            raise DeviceProblem(
                "LinkError", "{} said:\n{}".format(" ".join(command), done.stdout.decode(errors="replace"))
            )
        with open(target, "rb") as file:
            return file.read()


def _advice(error: OSError) -> str:
    """Return what to do about a library that is missing on the device."""
    if "libgcc_s" not in str(error):
        missing = "cannot open shared object file" in str(error) or "Error loading shared library" in str(error)
        return "; install that library on the device" if missing else ""
    return (
        "; 32-bit processors divide integers by functions of libgcc_s: install it on the device (Debian's "
        "libgcc-s1, Alpine's libgcc), or name a CPU that divides and keep to 32-bit integers"
    )


def _load_library(data: bytes, path: str) -> Any:
    """Load a library through a file, or from memory where its folder is read-only, noexec or full."""
    mode = os.RTLD_NOW | os.RTLD_LOCAL
    # Another worker of the session may have loaded the file of that name. One that is written over loses its variables.
    fresh = f"{path}.{os.getpid()}"
    try:
        with open(fresh, "wb") as file:
            file.write(data)
        os.replace(fresh, path)
        return ctypes.CDLL(path, mode=mode)
    except OSError:
        for name in (fresh, path):  # on a full disk, what there was room for
            with suppress(OSError):
                os.unlink(name)
        if not hasattr(os, "memfd_create"):
            raise
    # The descriptor stays open: the loader knows libraries by their path, and a number that is used again is one path.
    descriptor = os.memfd_create(os.path.basename(path))
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    return ctypes.CDLL(f"/proc/self/fd/{descriptor}", mode=mode)


def _connect(library: Any, function: Any) -> None:
    """Store a function's address where the entry in `library` finds it."""
    ctypes.c_void_p.in_dll(library, "xd_callee").value = ctypes.cast(function, ctypes.c_void_p).value
