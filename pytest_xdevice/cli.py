"""The command ``xdevice``: what a device is, and the runtime that a device serves with."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from .commands.entry_flags import add_entry_flags
from .commands.entry_flags import entry_of
from .config import DeviceConfig
from .config import find_pyproject
from .config import OWN_FILE
from .config import resolve_device
from .config import Settings
from .config import token_of_environment
from .device_entry import read_fingerprint
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
    parser = command_parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks, through argcomplete
        from .commands.completion import answer_shell

        answer_shell(parser)
    options = parser.parse_args(given)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a terminal may not have all that a device says
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the interpreter's end
        return 128 + 13  # as a shell reports SIGPIPE
    except ConfigError as error:
        return _complain(error, _USAGE)
    except XDeviceError as error:
        return _complain(error, _FAILED)
    except KeyboardInterrupt:
        return 128 + 2  # as a shell reports SIGINT


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="xdevice",
        description="Devices for pytest-xdevice.",
        epilog="example: xdevice info ssh://pi@raspberrypi.local",
    )
    parser.add_argument("--version", action=_Version, help="print the version")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    info = commands.add_parser(
        "info",
        help="print what a device is and can do",
        description="Connect to a device and print what it is and can do.",
        epilog="example: XDEVICE_TOKEN=... xdevice info 10.77.1.162:9090",
    )
    _add_device(info)
    info.set_defaults(run=_info)
    doctor = commands.add_parser(
        "doctor",
        help="check each step to a kernel on a device",
        description="Check what this host needs and, with SPEC, each step to that device; say how to mend what fails. "
        "The exit status is 0 when all that is needed works, 1 otherwise.",
        epilog="example: xdevice doctor ssh://pi@raspberrypi.local",
    )
    _add_device(doctor, required=False)
    doctor.add_argument("--json", action="store_true", help="print the same as one JSON document")
    doctor.set_defaults(run=_doctor)
    who = commands.add_parser(
        "who",
        help="tell who has a device, and who waits for it",
        description="Tell who has a device, since when, and who waits for it.",
        epilog="example: xdevice who ssh://pi@raspberrypi.local",
    )
    _add_device(who)
    who.set_defaults(run=_who)
    release = commands.add_parser(
        "release",
        help="take a device away from who has it",
        description="End the session that has a device; the next one in line gets it.",
        epilog="example: xdevice release ssh://pi@raspberrypi.local --force",
    )
    _add_device(release)
    release.add_argument("--force", action="store_true", help="do so; without this only tell who has it")
    release.set_defaults(run=_release)
    _add_naming(commands)
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


class _Version(argparse.Action):
    """Prints the version, which takes a look at what is installed."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, default=argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from . import __version__

        print(f"pytest-xdevice {__version__}")
        parser.exit()


def _add_naming(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands on the files that name devices."""
    listing = commands.add_parser(
        "list",
        help="print the named devices",
        description="Print the named devices with their addresses and tags.",
        epilog="example: xdevice list --json",
    )
    _add_config(listing)
    listing.add_argument("--json", action="store_true", help="print them as one JSON document")
    listing.set_defaults(run=_list)
    init = commands.add_parser(
        "init",
        help="give a device a name",
        description="Write a device's entry to xdevice.toml. Without --address it asks, at a terminal.",
        epilog="example: xdevice init pi --address ssh://pi@raspberrypi.local --pin 2,3",
    )
    init.add_argument("name", metavar="NAME", help="the device's name")
    add_entry_flags(init)
    _add_config(init)
    init.add_argument("--force", action="store_true", help="replace an entry of that name")
    init.set_defaults(run=_init)
    completion = commands.add_parser(
        "completion",
        help="print what makes a shell complete this command",
        description="Print what makes a shell complete commands, options and names of devices.",
        epilog='example: eval "$(xdevice completion bash)"',
    )
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    completion.set_defaults(run=_completion)


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--xdevice-config", type=Path, metavar="FILE", help="the file with named devices, instead of xdevice.toml"
    )


def _add_device(command: argparse.ArgumentParser, *, required: bool = True) -> None:
    device = command.add_argument(
        "device",
        metavar="SPEC",
        nargs=None if required else "?",
        help="local, HOST:PORT, ssh://user@host[:port], labgrid:PLACE, exec:COMMAND, an execnet spec, or a name",
    )
    device.completer = _device_names  # type: ignore[attr-defined]  # where argcomplete looks for it
    command.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file with the token of the device's server (or the environment variable XDEVICE_TOKEN with the token)",
    )
    command.add_argument(
        "--tls-fingerprint", metavar="SHA256", help="speak TLS, and only to the server whose certificate has this one"
    )
    command.add_argument("--insecure", action="store_true", help="go without a token to a server on this machine")
    _add_config(command)


def _device(options: argparse.Namespace) -> tuple[DeviceConfig, Settings]:
    device = resolve_device(options.device, find_pyproject(Path.cwd()), options.xdevice_config)
    return device, _settings(options)


def _settings(options: argparse.Namespace) -> Settings:
    """Return what the command line and the environment say of credentials."""
    if options.token_file is not None and not options.token_file.is_file():
        raise ConfigError(f"--token-file: there is no file {options.token_file}")
    fingerprint = None if options.tls_fingerprint is None else read_fingerprint(options.tls_fingerprint)
    return Settings(
        token=token_of_environment(),
        token_file=options.token_file,
        tls_fingerprint=fingerprint,
        insecure=options.insecure,
    )


def _device_names(prefix: str, **given: Any) -> list[str]:
    from .commands.completion import device_names

    return device_names(prefix, **given)


def _completion(options: argparse.Namespace) -> int:
    from .commands.completion import shell_code

    print(shell_code(options.shell))
    return _OK


def _list(options: argparse.Namespace) -> int:
    from .commands.listing import list_devices

    list_devices(find_pyproject(Path.cwd()), options.xdevice_config, as_json=options.json)
    return _OK


def _init(options: argparse.Namespace) -> int:
    from .commands.init import init

    pyproject = find_pyproject(Path.cwd())
    own = options.xdevice_config or pyproject.with_name(OWN_FILE)
    init(options.name, entry_of(options), pyproject, own, force=options.force)
    return _OK


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import doctor

    pyproject = find_pyproject(Path.cwd())
    works = doctor(options.device, _settings(options), pyproject, options.xdevice_config, as_json=options.json)
    return _OK if works else _FAILED


def _who(options: argparse.Namespace) -> int:
    from .remote import transport_to

    device, settings = _device(options)
    occupancy = transport_to(device, settings).who()
    for line in ["there for all: this machine is not leased"] if occupancy is None else occupancy.lines():
        print(f"{device.name}: {line}")
    return _OK


def _release(options: argparse.Namespace) -> int:
    from .remote import transport_to

    if not options.force:
        _who(options)
        raise ConfigError("release ends somebody's session: say --force to do so")
    device, settings = _device(options)
    holder = transport_to(device, settings).release()
    print(f"{device.name}: " + ("nobody had it" if holder is None else f"taken from {holder}"))
    return _OK


def _info(options: argparse.Namespace) -> int:
    device, settings = _device(options)
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
