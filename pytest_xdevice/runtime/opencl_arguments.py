"""What a program in OpenCL C says of its kernels' arguments, asked of the driver that has built it."""

from __future__ import annotations

import re
import struct
from typing import Any
from typing import Dict
from typing import List
from typing import Optional
from typing import Tuple

# With it a driver keeps what `arguments_of` asks for.
KEEP = "-cl-kernel-arg-info"

_SCALARS = ("char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "float", "double", "half")
_WIDTHS = (1, 2, 3, 4, 8, 16)
_BUILT_IN = re.compile("(?:{})(?:2|3|4|8|16)?|void".format("|".join(_SCALARS)))
_SPACES = {0x119B: "global", 0x119C: "local", 0x119D: "constant", 0x119E: "private"}  # CL_KERNEL_ARG_ADDRESS_* of cl.h
_NO_ACCESS = 0x11A3  # CL_KERNEL_ARG_ACCESS_NONE
_CONST, _PIPE = 1, 8  # bits of CL_KERNEL_ARG_TYPE_*
_LONG_NAMES = {"unsigned char": "uchar", "unsigned short": "ushort", "unsigned int": "uint", "unsigned long": "ulong"}


def arguments_of(cl: Any, kernel: Any, source: str, options: List[str]) -> List[Dict[str, Any]]:
    """Return what each argument of `kernel` is.

    Parameters
    ----------
    cl : module
        pyopencl.
    kernel : pyopencl.Kernel
        Of a program that was built with `KEEP`.
    source : str
        The program's text, which is built once more where types have names of their own.
    options : list of str
        What it was built with.

    Returns
    -------
    list of dict
        ``name``; ``type``, a built-in one (``float4``), ``struct`` for another, or what the source calls it where
        nothing else is known; ``nbytes``, its size, or 0 where nobody had to ask for it; ``pointer`` and ``const``,
        booleans; ``space``, the address space; ``image``, whether it is an image or a pipe.

    Raises
    ------
    pyopencl.Error
        If the driver keeps no such facts.
    """
    found = [_argument(cl, kernel, index) for index in range(kernel.num_args)]
    unknown = sorted({entry["type"] for entry in found if not _BUILT_IN.fullmatch(entry["type"])})
    unknown = [name for name in unknown if not name.startswith(("image", "sampler", "event", "pipe"))]
    if unknown:
        meant = _meaning(
            cl, kernel.context, kernel.get_info(cl.kernel_info.PROGRAM).devices[0], source, options, unknown
        )
        for entry in found:
            entry["type"], entry["nbytes"] = meant.get(entry["type"], (entry["type"], 0))
    return found


def _argument(cl: Any, kernel: Any, index: int) -> Dict[str, Any]:
    info = cl.kernel_arg_info
    written = kernel.get_arg_info(index, info.TYPE_NAME)
    words = [word for word in re.sub(r"[*&]", " * ", written).split() if word not in ("const", "volatile", "restrict")]
    name = " ".join(word for word in words if word != "*")
    qualifiers = kernel.get_arg_info(index, info.TYPE_QUALIFIER)
    access = kernel.get_arg_info(index, info.ACCESS_QUALIFIER)
    space = _SPACES.get(kernel.get_arg_info(index, info.ADDRESS_QUALIFIER), "private")
    return {
        "name": kernel.get_arg_info(index, info.NAME) or f"arg{index}",
        "type": _LONG_NAMES.get(name, name),
        "nbytes": 0,
        "pointer": "*" in words or space != "private",
        "const": bool(qualifiers & _CONST),
        "space": space,
        "image": access != _NO_ACCESS or bool(qualifiers & _PIPE),
    }


def _meaning(
    cl: Any, context: Any, device: Any, source: str, options: List[str], names: List[str]
) -> Dict[str, Tuple[str, int]]:
    """Return what the source's own names of types stand for, and their sizes: a kernel that is added to it says so."""
    codes = _asked(cl, context, device, source, options, names)
    if codes is not None:
        return dict(zip(names, codes))
    meant: Dict[str, Tuple[str, int]] = {}
    for name in names:
        alone = _asked(cl, context, device, source, options, [name])
        if alone is not None:
            meant[name] = alone[0]
    return meant


def _asked(
    cl: Any, context: Any, device: Any, source: str, options: List[str], names: List[str]
) -> Optional[List[Tuple[str, int]]]:
    spellings, overloads = _overloads()
    asking = "".join(f"*out++ = (int2)(xd_type((__private {name} *)0), sizeof({name})); " for name in names)
    text = f"{source}\n{overloads}\n__kernel void xd_types(__global int2 *out) {{ {asking}}}\n"
    try:
        program = cl.Program(context, text).build(options=options)
        queue = cl.CommandQueue(context, device)
        answer = bytearray(8 * len(names))
        out = cl.Buffer(context, cl.mem_flags.READ_WRITE, len(answer))
        cl.Kernel(program, "xd_types")(queue, (1,), None, out)
        cl.enqueue_copy(queue, answer, out, is_blocking=True)
    except cl.Error:
        return None
    return [(spellings[code], nbytes) for code, nbytes in struct.iter_unpack("=ii", answer)]


def _overloads() -> Tuple[List[str], str]:
    """Return the names of all built-in types, and functions of one name that tell pointers to them apart by index."""
    spellings, lines = ["struct"], ["int __attribute__((overloadable)) xd_type(__private void *p) { return 0; }"]
    for scalar in _SCALARS:
        condition = {"double": "cl_khr_fp64", "half": "cl_khr_fp16"}.get(scalar)
        for width in _WIDTHS:
            spelling = scalar if width == 1 else f"{scalar}{width}"
            function = "int __attribute__((overloadable)) xd_type(__private {} *p) {{ return {}; }}"
            line = function.format(spelling, len(spellings))
            spellings.append(spelling)
            lines += ["#ifdef " + condition, line, "#endif"] if condition else [line]
    return spellings, "\n".join(lines)
