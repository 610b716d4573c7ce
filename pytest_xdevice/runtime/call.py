"""Runs one plain Python function that the host sent, in a process of its own, which is killed when it takes too long.

The session starts the process. Source and arguments go to it in a file, and so does the answer come back; what the
function prints goes into a third file. Arguments and answer are written by `marshal`, which holds builtins of any size
and nothing else, and the session passes them on as they are.
"""

from __future__ import annotations
import __future__

import linecache
import marshal
import os
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from typing import Any
from typing import Dict
from typing import Optional

from .output import open_log
from .output import Trimmer

_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from pytest_xdevice.runtime.call import main; main(*sys.argv[2:])"
)
_LOOK_SECONDS = 0.2
_FORMAT = 4  # marshal's of Python 3.4, which all later ones read
_SCALARS = (type(None), bool, int, float, complex, bytes)


def call(channel: Any, code: str, directory: str, request: Dict[str, Any]) -> Dict[str, Any]:
    """Run a function and wait for it.

    Parameters
    ----------
    channel : execnet.Channel
        The host's; when it closes nobody waits any more, and the function is ended.
    code, directory : str
        The folder of this runtime, and one for files.
    request : dict
        ``source`` of the function, its ``name``, the ``file`` that it is from, its ``arguments`` as `pack` writes them,
        ``seconds`` that it may take, and ``env``, environment variables for it.

    Returns
    -------
    dict
        What it printed as ``output``, and one of ``answer`` (what `main` wrote), ``late``, or ``ended`` with the signal
        or the exit status that ended the process.
    """
    given, answer = (os.path.join(directory, name) for name in ("call.in", "call.out"))
    with suppress(FileNotFoundError):
        os.unlink(answer)
    with open(given, "wb") as file:
        marshal.dump(request, file)
    log = open_log(os.path.join(directory, "call.log"))
    process = subprocess.Popen(
        [sys.executable, "-c", _START, code, given, answer],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=dict(os.environ, **request["env"]),
        start_new_session=True,  # so that what the function started ends with it
    )
    output = Trimmer(log)
    output.start()
    try:
        status = _wait(process, channel, time.monotonic() + request["seconds"])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        printed = output.stop()
    return dict(_outcome(status, answer), output=printed)


def _wait(process: subprocess.Popen[bytes], channel: Any, due: float) -> Optional[int]:
    """Return the exit status of a process, or None when it is late or the host is gone."""
    while True:
        try:
            return process.wait(max(0.0, min(_LOOK_SECONDS, due - time.monotonic())))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= due:
                return None
        try:
            channel.waitclose(0)
        except channel.TimeoutError:
            continue
        return None


def _outcome(status: Optional[int], answer: str) -> Dict[str, Any]:
    if status is None:
        return {"late": True}
    if status == 0 and os.path.exists(answer):
        with open(answer, "rb") as file:
            return {"answer": file.read()}
    return {"ended": signal.Signals(-status).name if status < 0 else f"exit status {status}"}


def main(given: str, answer: str) -> None:
    """Run the function that the file `given` holds; write to `answer`, by `pack`, what came of it.

    That is its ``result``, its result's ``problem`` in words where it cannot travel, or the ``error`` that it raised:
    the exception's ``type`` and ``message``, and the ``traceback`` as text.
    """
    with open(given, "rb") as file:
        request = marshal.load(file)
    outcome: Dict[str, Any]
    try:
        result = _run(request)
        problem = foreign(result)
        outcome = {"problem": problem} if problem else {"result": result}
    except Exception as error:  # noqa: BLE001 - whatever the function raises is the host's to see
        outcome = {"error": _told(error)}
    sys.stdout.flush()
    with open(answer, "wb") as file:
        file.write(pack(outcome))


def _run(request: Dict[str, Any]) -> Any:
    source, file = request["source"], request["file"]
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)  # for the lines in a traceback
    # Annotations are the host's: they are not evaluated here.
    program = compile(source, file, "exec", __future__.annotations.compiler_flag, dont_inherit=True)
    names: Dict[str, Any] = {"__name__": "__xdevice__"}
    exec(program, names)
    return names[request["name"]](*marshal.loads(request["arguments"]))


def _told(error: Exception) -> Dict[str, str]:
    lines = traceback.format_exception(type(error), error, _beyond_here(error))
    try:
        message = str(error)
    except Exception as second:  # noqa: BLE001 - it is the function's, too
        message = f"(whose text cannot be had: {type(second).__name__})"
    told = {"type": type(error).__name__, "message": message, "traceback": "".join(lines)}
    return {key: text.encode("utf-8", "replace").decode() for key, text in told.items()}


def _beyond_here(error: BaseException) -> Any:
    """Return an error's traceback without the two frames of this module."""
    trace = error.__traceback__
    for _ in range(2):
        if trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
    return trace


def pack(value: Any) -> bytes:
    """Return a value in which nothing is `foreign` as bytes that any Python reads."""
    return marshal.dumps(value, _FORMAT)


def foreign(value: Any) -> str:
    """Return what in a value is no builtin that can travel, as a few words; nothing where all is."""
    try:
        return _foreign(value)
    except RecursionError:
        return "something nested too deeply, or in itself"


def _foreign(value: Any) -> str:
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return "a string with lone surrogates"
        return ""
    if type(value) in (list, tuple, set, frozenset):
        return next(filter(None, map(_foreign, value)), "")
    if type(value) is dict:
        return _foreign(list(value)) or _foreign(list(value.values()))
    return "" if type(value) in _SCALARS else f"a {type(value).__module__}.{type(value).__qualname__}"
