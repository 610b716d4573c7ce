"""In the compiler process: reads a module that someone else made, and finds what its entry takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from typing import Final

import llvmlite.binding

llvm: Final[Any] = llvmlite.binding  # it has no annotations
_BITCODE: Final = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")
_TARGET_LINE: Final = re.compile(r"^target (?:datalayout|triple) = .*\n", re.MULTILINE)
_KEEPS_FROM_OPTIMISING: Final = re.compile(r"\b(?:optnone|noinline)\b(?= )")
_FOR_A_CPU: Final = re.compile(r'"(?:target-cpu|target-features|tune-cpu)"="[^"]*"')
_PIE: Final = re.compile(r'(!"PIE Level", i32) \d+')
# What compilers for programs say of another library's symbols, which code that is to be shared must look up.
_FOREIGN: Final = re.compile(r"^(@.* = external |declare )dso_local ", re.MULTILINE)
_GEP: Final = re.compile(r"getelementptr (?:inbounds |nuw |nusw |inrange\([^)]*\) )*(.+?), ptr")
_KEPT_LINKAGE: Final = frozenset({"internal", "private", "available_externally", "appending"})
_PASS_ON: Final = frozenset({"getelementptr", "bitcast", "phi", "select", "addrspacecast", "freeze"})


def inspect(data: bytes, entry: str, name: str) -> tuple[dict[str, Any], str]:
    """Return facts about a module, and its text with the entry renamed to `name` and without triple and data layout.

    What the entry does not need is left out, such as the program that it came in: that may need what no device has.

    Parameters
    ----------
    data : bytes
        Text or bitcode.
    entry : str
        The function that is to be called; "" for the only one that is defined.
    name : str
        What it is called from here on; "" for its own name, with what no name of C has replaced.

    Returns
    -------
    dict
        ``functions``, the names that are defined; ``triple`` and ``layout``; and of the entry, if it is there,
        ``entry``, its name from here on, ``result``, a type, ``head``, its first line, and ``arguments``: each with
        ``name``, ``type``, ``attributes`` and, of a pointer, the types ``read`` and ``stepped`` over through it, and
        whether it is ``constant``.
    str
        The module.
    """
    module = _parsed(data)
    module.verify()
    defined = [function for function in module.functions if not function.is_declaration]
    facts: dict[str, Any] = {
        "functions": [function.name for function in defined],
        "triple": module.triple,
        "layout": str(module.data_layout),
    }
    entry = entry or (defined[0].name if len(defined) == 1 else "")
    if entry not in facts["functions"]:
        return facts, ""
    function = module.get_function(entry)
    _leave_out_the_rest(module, function)
    name = name or re.sub(r"\W", "_", entry)
    if name != entry:
        function.name = name
    # As a part of a program it would find thread-local variables where only a program has them.
    text = _FOREIGN.sub(r"\1", _PIE.sub(r"\1 0", _TARGET_LINE.sub("", str(module))))
    facts["entry"] = name
    facts["head"] = next(line for line in str(function).splitlines() if line.startswith("define"))
    facts["result"] = str(function.global_value_type).split(" (", 1)[0]
    facts["arguments"] = [
        {
            "name": argument.name,
            "type": str(argument.type),
            "attributes": [text.decode() for text in argument.attributes],
        }
        for argument in function.arguments
    ]
    _find_elements(facts["arguments"], text, module, name)
    return facts, text


def _parsed(data: bytes) -> Any:
    if data.startswith(_BITCODE):
        return llvm.parse_bitcode(data)
    return llvm.parse_assembly(data.decode())


def _leave_out_the_rest(module: Any, entry: Any) -> None:
    """Make all but the entry the module's own, and remove what is not used then.

    Else what is left would also give way to symbols of the same names in the device's process.
    """
    for each in (*module.functions, *module.global_variables):
        if each.is_declaration or each.linkage.name in _KEPT_LINKAGE or each.name.startswith("llvm."):
            continue
        each.visibility = "default"  # all that is internal has it
        each.linkage = "internal"
    entry.linkage, entry.visibility = "external", "hidden"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    machine = llvm.Target.from_default_triple().create_target_machine()
    passes.run(module, llvm.create_pass_builder(machine, _without_vectors()))


def _find_elements(arguments: list[dict[str, Any]], text: str, module: Any, name: str) -> None:
    """Add what is done through each pointer; calls are looked into once they are inlined."""
    # Any target does for looking at it, but one that meets the features of another aborts.
    plain = llvm.parse_assembly(_FOR_A_CPU.sub("", _KEEPS_FROM_OPTIMISING.sub("nounwind", text)))
    plain.triple, plain.data_layout = module.triple, str(module.data_layout)
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    machine = llvm.Target.from_default_triple().create_target_machine()
    builder = llvm.create_pass_builder(machine, _without_vectors())
    passes.run(plain, builder)
    seen = [_Accesses(plain).through(name, index) for index in range(len(arguments))]
    builder.getModulePassManager().run(plain, builder)
    for index, (facts, (read, stepped)) in enumerate(zip(arguments, seen, strict=True)):
        if not facts["type"].startswith("ptr"):
            continue
        if not read:
            read, stepped = _Accesses(plain).through(name, index)
        attributes = list(plain.get_function(name).arguments)[index].attributes
        facts["read"], facts["stepped"] = sorted(read), sorted(stepped)
        facts["constant"] = any(word in (b"readonly", b"readnone") for word in attributes)


def _without_vectors() -> Any:
    return llvm.create_pipeline_tuning_options(speed_level=2)  # nothing is vectorised unless it is asked for


class _Accesses:
    """What is done through the pointers of a module's functions."""

    def __init__(self, module: Any) -> None:
        self._functions = {function.name: function for function in module.functions}
        self._seen: set[tuple[str, int]] = set()
        self._read: set[str] = set()
        self._stepped: set[str] = set()

    def through(self, name: str, index: int) -> tuple[set[str], set[str]]:
        """Return the types that are read or written through a parameter, and those that it is moved in steps of.

        Calls are followed.
        """
        function = self._functions.get(name)
        if function is None or function.is_declaration or (name, index) in self._seen:
            return self._read, self._stepped
        self._seen.add((name, index))
        parameters = list(function.arguments)
        if index >= len(parameters):
            return self._read, self._stepped  # one of variable arguments
        instructions = list(_instructions(function))
        aliases = _aliases(parameters[index], instructions)
        for instruction in instructions:
            self._note(instruction, aliases)
        return self._read, self._stepped

    def _note(self, instruction: Any, aliases: list[Any]) -> None:
        opcode = instruction.opcode
        if opcode == "load" and next(instruction.operands) in aliases:
            self._read.add(str(instruction.type))
        elif opcode == "store":
            value, place = instruction.operands
            if place in aliases:
                self._read.add(str(value.type))
        elif opcode in ("atomicrmw", "cmpxchg"):
            place, *_, value = instruction.operands
            if place in aliases:
                self._read.add(str(value.type))
        elif opcode == "getelementptr" and instruction in aliases:
            step = _GEP.search(str(instruction))
            self._stepped.update(step.groups() if step else ())
        elif opcode == "call":
            *given, callee = instruction.operands
            for position, value in enumerate(given):
                if value in aliases:
                    self.through(callee.name, position)


def _aliases(argument: Any, instructions: list[Any]) -> list[Any]:
    """Return the argument, and every value that may be a pointer into the same memory."""
    found = [argument]
    passing = [instruction for instruction in instructions if instruction.opcode in _PASS_ON]
    grown = True
    while grown:
        new = [one for one in passing if one not in found and any(operand in found for operand in one.operands)]
        found += new
        grown = bool(new)
    return found


def _instructions(function: Any) -> Iterator[Any]:
    for block in function.blocks:
        yield from block.instructions
