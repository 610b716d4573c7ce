"""The command ``xdevice``: what a device is, and the runtime that a device serves with."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from typing import TYPE_CHECKING

from .config import DeviceConfig
from .config import find_pyproject
from .config import read_fingerprint
from .config import resolve_devices
from .config import Settings
from .config import token_of_environment
from .errors import ConfigError
from .errors import XDeviceError

if TYPE_CHECKING:
    from .remote import Session

_OK: Final = 0
_FAILED: Final = 1
_USAGE: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 on success, 1 when a device cannot be reached or a file cannot be written, 2 for a usage error.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["serve"]:
        # Its options are those of the runtime, which also runs where this file is not.
        from .runtime.__main__ import main as serve

        return serve(given[1:])
    options = _parser().parse_args(given)
    try:
        return int(options.run(options))
    except ConfigError as error:
        return _complain(error, _USAGE)
    except XDeviceError as error:
        return _complain(error, _FAILED)
    except KeyboardInterrupt:
        return 128 + 2  # as a shell reports SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xdevice",
        description="Devices for pytest-xdevice.",
        epilog="example: xdevice info ssh://pi@raspberrypi.local",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    info = commands.add_parser(
        "info",
        help="print what a device is and can do",
        description="Connect to a device and print what it is and can do.",
        epilog="example: XDEVICE_TOKEN=... xdevice info 10.77.1.162:9090",
    )
    info.add_argument(
        "device",
        metavar="SPEC",
        help="local, HOST:PORT, ssh://user@host[:port], exec:COMMAND, an execnet spec, or a name from pyproject.toml",
    )
    info.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file with the token of the device's server (or the environment variable XDEVICE_TOKEN with the token)",
    )
    info.add_argument(
        "--tls-fingerprint", metavar="SHA256", help="speak TLS, and only to the server whose certificate has this one"
    )
    info.add_argument("--insecure", action="store_true", help="go without a token to a server on this machine")
    info.set_defaults(run=_info)
    bundle = commands.add_parser(
        "bundle",
        help="write the device's runtime as one file",
        description="Write the device's runtime as one file, which needs only Python 3.8 or newer there.",
        epilog="example: xdevice bundle xdevice-runtime.pyz",
    )
    bundle.add_argument("file", type=Path, metavar="FILE", help="the file to write; one that exists is replaced")
    bundle.set_defaults(run=_bundle)
    commands.add_parser("serve", help="serve this machine as a device (xdevice serve --help)", add_help=False)
    return parser


def _info(options: argparse.Namespace) -> int:
    (device,) = resolve_devices([options.device], find_pyproject(Path.cwd()))
    if options.token_file is not None and not options.token_file.is_file():
        raise ConfigError(f"--token-file: there is no file {options.token_file}")
    fingerprint = None if options.tls_fingerprint is None else read_fingerprint(options.tls_fingerprint)
    settings = Settings(
        token=token_of_environment(),
        token_file=options.token_file,
        tls_fingerprint=fingerprint,
        insecure=options.insecure,
    )
    session = _open(device, settings)
    try:
        for name, text in _facts(session):
            print(f"{name:<10}{text}".rstrip())
    finally:
        session.close()
    return _OK


def _open(device: DeviceConfig, settings: Settings) -> Session:
    from .remote import Session

    return Session.open(device, settings, progress=lambda text: print(text, file=sys.stderr))


def _facts(session: Session) -> list[tuple[str, str]]:
    from .report.device import cpu_name
    from .report.device import opencl_text
    from .timing import format_bytes

    info = session.info
    opencl = [opencl_text(device) for device in session.opencl_devices()] or [session.opencl_problem or "none"]
    return [
        ("device", session.name if session.name == session.address else f"{session.name} at {session.address}"),
        ("host", f"{info.hostname} ({info.system} {info.release}, {info.machine}, {' '.join(info.libc)})"),
        ("Python", f"{info.python}, {info.bits}-bit"),
        ("CPU", f"{cpu_name(session)}, {info.cores} core{'s' if info.cores != 1 else ''}"),
        ("memory", format_bytes(info.memory)),
        ("features", " ".join(sorted(info.features)) or "not known"),
        ("target", str(session.target)),
        *(("OpenCL" if index == 0 else "", text) for index, text in enumerate(opencl)),
    ]


def _bundle(options: argparse.Namespace) -> int:
    from .bundle import runtime_archive

    path: Path = options.file
    if path.is_dir():
        raise ConfigError(f"{path} is a directory; name the file to write, such as {path / 'xdevice-runtime.pyz'}")
    data = runtime_archive(executable=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.chmod(0o755)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise XDeviceError(f"cannot write {path}: {error.strerror}") from None
    print(f"wrote {path} ({len(data)} bytes)")
    print(f"copy it to the device and run there: python3 {shlex.quote(path.name)} --host 0.0.0.0 --port 9090")
    return _OK


def _complain(error: Exception, status: int) -> int:
    print(f"xdevice: {error}", file=sys.stderr)
    return status
