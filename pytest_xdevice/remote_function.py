"""Plain Python functions that run on the device: what is sent of one, and what comes back."""

from __future__ import annotations

import dis
import inspect
import marshal
import math
import textwrap
from collections.abc import Callable
from collections.abc import Iterator
from types import CodeType
from types import FunctionType
from typing import Any
from typing import Final

from .client import LIMIT_SECONDS
from .errors import ArgumentError
from .errors import DeviceError
from .errors import DeviceLost
from .errors import RemoteFunctionError
from .errors import RemoteFunctionTimeout
from .runtime.call import foreign
from .runtime.call import pack
from .transport.control import Control
from .transport.control import Refusal

_GLOBAL: Final = ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL")


def call_remotely(
    control: Control,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    *,
    seconds: float,
    env: dict[str, str],
    show: Callable[[str], None],
) -> Any:
    """Run a function on a device and return its result: see `Session.remote`.

    Parameters
    ----------
    control : Control
    function : function
    arguments : tuple
    seconds : float
        How long it may take.
    env : dict
        Environment variables for it.
    show : callable
        Takes what it printed.
    """
    if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ArgumentError(f"timeout={seconds!r} is no time limit; give a number of seconds above 0")
    request = {**_request(function, arguments), "seconds": seconds, "env": env}
    name = request["name"]
    try:
        answer = control.request("call", request, timeout=seconds + LIMIT_SECONDS)
    except Refusal as refusal:
        raise DeviceError(f"{name} could not be run on the device: {refusal}") from None
    show(answer["output"])
    if "answer" in answer:
        return _result(name, answer["answer"])
    if "late" in answer:
        raise RemoteFunctionTimeout(
            f"{name} ran longer than {seconds:g} s on the device and was ended; give it timeout=, or look at what it "
            "waits for",
            function=name,
            seconds=seconds,
        )
    raise RemoteFunctionError(
        f"{name} ended its process on the device by {answer['ended']}",
        function=name,
        kind=answer["ended"],
        traceback="",
    )


def _result(name: str, answer: bytes) -> Any:
    """Return what a function returned, or raise what it raised."""
    try:
        outcome: Any = marshal.loads(answer)
    except (EOFError, TypeError, ValueError):
        outcome = None
    if not isinstance(outcome, dict):
        raise DeviceLost(f"the answer of {name} on the device makes no sense")
    if "result" in outcome:
        return outcome["result"]
    if "problem" in outcome:
        raise RemoteFunctionError(
            f"{name} returned {outcome['problem']}; a result is made of builtins",
            function=name,
            kind="TypeError",
            traceback="",
        )
    error = outcome["error"]
    raise RemoteFunctionError(
        f"{name} raised {error['type']} on the device: {error['message']}\n{error['traceback'].rstrip()}",
        function=name,
        kind=error["type"],
        traceback=error["traceback"],
    )


def _request(function: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Return what travels of a function.

    Raises
    ------
    ArgumentError
        If it needs more than its own source, or an argument is not made of builtins.
    """
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        raise ArgumentError(f"{function!r} is no plain function: write one with def")
    name = function.__name__
    if function.__code__.co_freevars:
        names = ", ".join(function.__code__.co_freevars)
        raise ArgumentError(f"{name} uses {names} of the function around it; pass what it needs as arguments")
    outside = sorted({used for used in _global_names(function.__code__) if used in function.__globals__} - {name})
    if outside:
        raise ArgumentError(
            f"{name} uses {', '.join(outside)} of its module, which does not go to the device; import and define "
            "inside it what it needs, or pass it as an argument"
        )
    problem = foreign(list(arguments))
    if problem:
        raise ArgumentError(f"an argument of {name} is or holds {problem}; arguments are made of builtins")
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError) as error:
        raise ArgumentError(f"the source of {name} cannot be read: {error}; define it in a file") from None
    source = textwrap.dedent("".join(lines))
    if not source.startswith("def "):
        raise ArgumentError(f"{name} has decorators or is asynchronous; send a plain function")
    # Empty lines in front give a traceback the lines of the file.
    source = "\n" * max(0, first - 1) + source
    return {"source": source, "name": name, "file": function.__code__.co_filename, "arguments": pack(arguments)}


def _global_names(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        used = str(instruction.argval)
        # A class finds a __name__ there, too; names with an "@" are pytest's, which rewrites assertions.
        if instruction.opname in _GLOBAL and used != "__name__" and not used.startswith("@"):
            yield used
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
