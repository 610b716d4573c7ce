"""The compiler process: LLVM behind a pipe, so that an LLVM abort ends this process and nothing else.

Started by `llvm.CompilerProcess`; it ends when its standard input does. What LLVM prints to standard
error while a request is served (unknown CPUs and features are reported nowhere else) goes into the answer.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import sys
from typing import Any
from typing import BinaryIO
from typing import Final

import llvmlite.binding

from . import half
from .frames import read_frame
from .frames import write_frame
from .inspect_ir import inspect

llvm: Final[Any] = llvmlite.binding  # it has no annotations
_STDERR: Final = 2
_MASKED_BYTES: Final = re.compile(r"@llvm\.masked\.(load|store)\.v8i8\b")
_X86: Final = ("x86_64", "i386", "i486", "i586", "i686")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the stream of them ends."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    # Lets a loop become vectors that also adds floats up in order, as on the targets where this is LLVM's default.
    llvm.set_option("pytest-xdevice", "-force-ordered-reductions=true")
    while True:
        try:
            request, parts = read_frame(requests)
        except EOFError:
            return
        before = os.lseek(_STDERR, 0, os.SEEK_END)
        try:
            answer, results = _HANDLERS[request["do"]](request, parts)
        except (RuntimeError, ValueError) as error:
            answer, results = {"error": str(error)}, []
        answer["messages"] = _printed_since(before)
        if answer["messages"]:
            _target_machine.cache_clear()  # LLVM complains of a name once a machine: the next request is to hear it too
        write_frame(answers, answer, results)


def _printed_since(position: int) -> str:
    return os.pread(_STDERR, 1 << 16, position).decode("utf-8", "replace")


def _machine_of(request: dict[str, Any]) -> Any:
    return _target_machine(request["triple"], request["cpu"], request["features"], request["abi"])


@functools.lru_cache(maxsize=16)
def _target_machine(triple: str, cpu: str, features: str, abi: str) -> Any:
    """Return LLVM's target machine, which keeps what it derives from the names of CPU and features."""
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=3, reloc="pic", codemodel="small", abiname=abi
    )


def _parse(text: str, request: dict[str, Any], machine: Any) -> Any:
    # On the first line, so that the line numbers in messages stay those of the text.
    layout = f'target datalayout = "{machine.target_data}" target triple = "{request["triple"]}" '
    module = llvm.parse_assembly(layout + text)
    module.triple = request["triple"]
    module.data_layout = str(machine.target_data)
    module.verify()
    for function in module.functions:
        if not function.is_declaration:
            function.add_function_attribute("nounwind")  # else Arm's unwind tables need a personality from libgcc_s
    return module


def _define_half(module: Any, request: dict[str, Any]) -> None:
    """Define the conversions of half precision that `module` calls."""
    called = {function.name for function in module.functions if function.is_declaration}
    if called.isdisjoint(half.FUNCTIONS):
        return
    machine = tuple(request[key] for key in ("triple", "cpu", "features", "abi"))
    definitions = llvm.parse_assembly(half.definitions(_half_support(*machine)))
    definitions.triple, definitions.data_layout = module.triple, module.data_layout
    module.link_in(definitions)


@functools.cache
def _half_support(triple: str, cpu: str, features: str, abi: str) -> half.Support:
    architecture = triple.split("-")[0]
    name = half.feature(architecture)
    request = {"triple": triple, "cpu": cpu, "features": features, "abi": abi, "names": [name] if name else []}
    return half.support(architecture, has_feature=bool(_enabled(request, [])[0]["enabled"]))


def _optimise(module: Any, machine: Any, *, straight_line: bool = True) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.slp_vectorization = straight_line
    options.loop_interleaving = True
    options.loop_unrolling = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


def _emitting(text: str, request: dict[str, Any], machine: Any) -> Any:
    """Return the machine that is to emit the optimised `text`: one whose code keeps its masks.

    LLVM 22 widens the mask of eight bytes in a register by a KMOVB, which clears the bits above. Where it runs out of
    mask registers it takes that instruction for a mere copy, and the bits above let more elements be written. Without
    AVX512DQ there is no KMOVB.
    """
    if not request["triple"].startswith(_X86) or not _MASKED_BYTES.search(text):
        return machine
    features = ",".join(filter(None, [request["features"], "-avx512dq"]))
    return _target_machine(request["triple"], request["cpu"], features, request["abi"])


def _compile(request: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    machine = _machine_of(request)
    module = _parse(parts[0].decode(), request, machine)
    _define_half(module, request)
    if request["optimise"]:
        _optimise(module, machine, straight_line=request["straight_line"])
    optimised = str(module)  # before emission, which rewrites the module for the back end
    return {}, [optimised.encode(), _emitting(optimised, request, machine).emit_object(module)]


def _assemble(request: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    machine = _machine_of(request)
    text = parts[0].decode()
    module = _parse(text, request, machine)
    return {}, [_emitting(text, request, machine).emit_assembly(module).encode()]


def _inspect(request: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    facts, text = inspect(parts[0], request["entry"], request["name"])
    return {"facts": facts}, [text.encode()]


def _enabled(request: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Find which of `names` the target enables, by LLVM's own rule for inlining.

    A function that needs one feature more is inlined into one without it only where it was enabled anyway.
    """
    names = request["names"]
    asked = [",".join(filter(None, [request["features"], f"+{name}"])) for name in names]
    functions = [
        f'declare void @yes{k}()\ndefine internal void @ask{k}() "target-features"="{features}" '
        f"{{\n  call void @yes{k}()\n  ret void\n}}\n"
        for k, features in enumerate(asked)
    ]
    calls = "".join(f"  call void @ask{k}()\n" for k in range(len(names)))
    machine = _machine_of(request)
    module = _parse("".join(functions) + f"define void @main() {{\n{calls}  ret void\n}}\n", request, machine)
    _optimise(module, machine)
    inlined = str(module.get_function("main"))
    return {"enabled": [name for k, name in enumerate(names) if f"@yes{k}(" in inlined]}, []


def _host(request: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    features = [name for name, on in llvm.get_host_cpu_features().items() if on]
    return {"triple": llvm.get_process_triple(), "cpu": llvm.get_host_cpu_name(), "features": features}, []


def _ping(request: dict[str, Any], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    return {"llvm": list(llvm.llvm_version_info), "pid": os.getpid()}, []


_HANDLERS: Final = {
    "assemble": _assemble,
    "compile": _compile,
    "enabled": _enabled,
    "host": _host,
    "inspect": _inspect,
    "ping": _ping,
}


def print_help(triple: str) -> None:
    """Make LLVM print its tables of CPUs and features for `triple` to standard error (it does so once a process)."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    _target_machine(triple, cpu="help", features="", abi="")


def main() -> None:
    """Serve standard input and output, or print LLVM's tables when called with ``help TRIPLE``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the pipe
    if sys.argv[1:2] == ["help"]:
        print_help(sys.argv[2])
    else:
        serve(sys.stdin.buffer, sys.stdout.buffer)
