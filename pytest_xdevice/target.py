"""Targets: triples in any usual spelling, TVM's ``llvm -mtriple=...``, and the target that a device is.

A target is normalised when it is made, so that two spellings of one target are equal and share the cache.
"""

from __future__ import annotations

import difflib
import functools
import re
import shlex
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final
from typing import NoReturn

from .device_info import DeviceInfo
from .errors import CompileError
from .errors import TargetError
from .toolchain import llvm
from .toolchain.features import arm_cpu
from .toolchain.features import BY_INTRINSICS_ONLY
from .toolchain.features import device_features
from .toolchain.features import explicit
from .toolchain.features import KNOWN
from .toolchain.features import x86_level

_ARCHES: Final = {
    "x86_64": "x86_64", "amd64": "x86_64", "x86-64": "x86_64",
    "i386": "i686", "i486": "i686", "i586": "i686", "i686": "i686", "x86": "i686",
    "aarch64": "aarch64", "arm64": "aarch64", "armv8": "aarch64", "armv8a": "aarch64", "armv8-a": "aarch64",
    "arm": "arm", "armhf": "armv7l", "armel": "armv5te",
    "armv5": "armv5te", "armv5te": "armv5te", "armv5tel": "armv5te", "armv5tejl": "armv5te",
    "armv6": "armv6l", "armv6l": "armv6l", "armv6k": "armv6l", "armv6kz": "armv6l", "armv6hf": "armv6l",
    "armv7": "armv7l", "armv7l": "armv7l", "armv7a": "armv7l", "armv7-a": "armv7l", "armv7hf": "armv7l",
    "armv7hl": "armv7l", "armv7hnl": "armv7l", "armv8l": "armv8l",
    "riscv64": "riscv64", "riscv64gc": "riscv64", "rv64gc": "riscv64",
}  # fmt: skip
_VENDORS: Final = frozenset({"unknown", "pc", "none", "redhat", "suse", "alpine", "poky", "buildroot", "oe", "rpi"})
_ENVIRONMENTS: Final = frozenset(
    {"gnu", "musl", "android", "gnueabi", "gnueabihf", "musleabi", "musleabihf", "androideabi"}
)
_HARD: Final = ("gnueabihf", "musleabihf")
# What a triple alone promises beyond, or short of, what LLVM assumes for it: Debian's armhf has 16 double registers and
# no NEON, the ARMv6 of a Raspberry Pi has VFPv2, cryptography is optional in ARMv8, riscv64 Linux means rv64gc. x87
# would round f32 and f64 at other times than everything else does, so that i686 means one with SSE2.
_PROMISED: Final = {
    "i686": ("+sse2",),
    "armv6l": ("+vfp2",),
    "armv7l": ("+vfp3d16", "-d32", "-neon"),
    "armv8l": ("-crc", "-aes", "-sha2"),
    "riscv64": ("+m", "+a", "+f", "+d", "+c"),
}
_ALWAYS: Final = frozenset({"i686", "riscv64"})  # whatever the CPU's name implies
_ABIS: Final = {"riscv64": ("lp64d", "lp64f", "lp64")}
_OPTIONS: Final = ("-mtriple", "-target", "-mcpu", "-mattr", "-mabi", "-mfloat-abi")
# TVM's hints to its schedulers say nothing about code generation.
_TVM_HINTS: Final = ("-device", "-model", "-keys", "-num-cores", "-libs")
_EXAMPLE: Final = "'aarch64-linux-gnu' or 'llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a7 -mattr=+neon'"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Target:
    """What code is generated for.

    Attributes
    ----------
    triple : str
        Four parts: architecture, vendor, system, environment.
    cpu : str
        LLVM's name of the CPU; empty for the architecture's generic one.
    features : tuple of str
        ISA extensions with their signs, ``"+neon"``, ``"-aes"``, in the order in which LLVM applies them.
    abi : str
        Name of the ABI where the triple leaves a choice (``"lp64d"``), else empty.
    glibc : tuple of (int, int) or None
        Version of the glibc it will run with; it decides symbol versions and is no part of the spelling.
    """

    triple: str
    cpu: str = ""
    features: tuple[str, ...] = ()
    abi: str = ""
    glibc: tuple[int, int] | None = field(default=None, compare=False)

    def __hash__(self) -> int:
        return hash(self._spelling)  # by which every launch looks up its kernel, and which keeps its own hash

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read a bare triple, or TVM's ``llvm -mtriple=... -mcpu=... -mattr=+a,-b``; ``llvm`` alone is this host.

        Raises
        ------
        TargetError
            If the architecture, the environment or an option is unknown. Names of CPUs and features are
            checked by `validate`, for which LLVM has to be asked.
        """
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise TargetError(f"cannot read the target {text!r}: {error}") from None
        if not words:
            raise TargetError(f"a target must not be empty; write a triple, such as {_EXAMPLE}")
        if words[0] != "llvm":
            if len(words) > 1:
                raise TargetError(f"options follow 'llvm': write 'llvm -mtriple={text}' for the target {text!r}")
            return cls._make(words[0])
        options = dict(_read_options(words[1:], text))
        triple = options.pop("-mtriple", "")
        if not triple and not options:
            return cls.host()
        return cls._make(
            triple or cls.host().triple,
            cpu=options.get("-mcpu", ""),
            features=tuple(_read_features(options.get("-mattr", ""), text)),
            abi=options.get("-mabi", ""),
            float_abi=options.get("-mfloat-abi", ""),
        )

    @classmethod
    def host(cls) -> Target:
        """Return the target that this process runs on, CPU name and extensions included."""
        return _host()

    @classmethod
    def of_device(cls, info: DeviceInfo, host_cpu: Callable[[], str] | None = None) -> Target:
        """Return the target that a device is: triple from architecture, bitness and C library; CPU; extensions.

        Parameters
        ----------
        info : DeviceInfo
        host_cpu : callable, optional
            Returns LLVM's name of this machine's CPU, which the device may be; by default LLVM is asked.

        Raises
        ------
        TargetError
            If the device's architecture is not supported.
        """
        triple = _device_triple(info)
        arch = cls._make(triple).arch
        cpu = _device_cpu(info, arch, host_cpu or llvm_host_cpu)
        enabled = device_features(info, arch)
        written = explicit(enabled, arch, cpu=cpu) if enabled is not None else ()
        return replace(cls._make(triple, cpu=cpu, features=written), glibc=info.glibc)

    @classmethod
    def _make(
        cls, triple: str, *, cpu: str = "", features: tuple[str, ...] = (), abi: str = "", float_abi: str = ""
    ) -> Target:
        architecture, environment = _split_triple(triple)
        if float_abi:
            environment = _with_float_abi(architecture, environment, float_abi)
        if architecture == "arm":
            architecture = "armv7l" if environment in _HARD else "armv5te"
        if architecture == "armv6l" and environment not in _HARD:
            promised: tuple[str, ...] = ()
        else:
            promised = _PROMISED.get(architecture, ()) if not cpu or architecture in _ALWAYS else ()
        if architecture == "i686" and "-sse2" in features:
            raise TargetError("i686 without SSE2 is not supported: x87 rounds otherwise than the language promises")
        said = {feature[1:] for feature in features}
        abis = _ABIS.get(architecture, ())
        if abi and abi not in abis:
            raise TargetError(f"unknown -mabi={abi} for {architecture}; known: {', '.join(abis) or 'none'}")
        return cls(
            triple=f"{architecture}-unknown-linux-{environment}",
            cpu=cpu,
            features=(*(feature for feature in promised if feature[1:] not in said), *features),
            abi="" if abis and abi == abis[0] else abi,
        )

    def __str__(self) -> str:
        """Spell the target as TVM does; `parse` reads it back."""
        return self._spelling

    @cached_property
    def _spelling(self) -> str:
        words = ["llvm", f"-mtriple={self.triple}"]
        words += [f"-mcpu={self.cpu}"] if self.cpu else []
        words += [f"-mattr={','.join(self.features)}"] if self.features else []
        words += [f"-mabi={self.abi}"] if self.abi else []
        return " ".join(words)

    @property
    def summary(self) -> str:
        """Triple and CPU, for messages in which the extensions do not matter."""
        return f"{self.triple} ({self.cpu})" if self.cpu else self.triple

    @property
    def arch(self) -> str:
        """The architecture's family: ``"x86_64"``, ``"i686"``, ``"aarch64"``, ``"arm"`` or ``"riscv64"``."""
        name = self.triple.split("-")[0]
        return "arm" if name.startswith("arm") else name

    @property
    def environment(self) -> str:
        """The last part of the triple: C library, and float ABI on 32-bit Arm."""
        return self.triple.split("-")[3]

    @property
    def libc(self) -> str:
        """``"gnu"``, ``"musl"`` or ``"android"``."""
        return next(name for name in ("gnu", "musl", "android") if self.environment.startswith(name))

    @property
    def bits(self) -> int:
        """Width of a pointer, 32 or 64."""
        return 32 if self.arch in ("arm", "i686") else 64

    @property
    def float_abi(self) -> str:
        """``"hard"`` or ``"soft"`` on 32-bit Arm, else empty."""
        if self.arch != "arm":
            return ""
        return "hard" if self.environment in _HARD else "soft"

    @property
    def machine(self) -> llvm.Machine:
        """The target as LLVM is told it."""
        abi = self.abi or _ABIS.get(self.arch, ("",))[0]
        return llvm.Machine(self.triple, self.cpu, ",".join(self.features), abi)

    def generic(self) -> Target:
        """Return the target that the triple alone promises, without CPU and extensions."""
        return replace(Target._make(self.triple), glibc=self.glibc)

    def completed(self, info: DeviceInfo) -> Target:
        """Return the target with what only the device knows of its C library: the version of glibc."""
        return replace(self, glibc=self.glibc or info.glibc)

    def validate(self, compiler: llvm.CompilerProcess | None = None) -> None:
        """Check the names of the CPU and the features with LLVM.

        Raises
        ------
        TargetError
            If LLVM does not know one; the message offers names that are near it.
        """
        try:
            (compiler or llvm.shared()).enabled((), self.machine)
        except CompileError as error:
            self.explain(error)

    def explain(self, error: CompileError) -> NoReturn:
        """Raise the TargetError for a name that LLVM did not know, or `error` itself when that was not its cause."""
        if isinstance(error, llvm.UnrecognisedName):
            self._reject(error)
        # For x86-64 LLVM takes an unknown CPU for a 32-bit one, and ends the process.
        if self.cpu and self.cpu not in known_names(self.triple)[0]:
            self._reject(llvm.UnrecognisedName("processor", self.cpu))
        raise error

    def _reject(self, error: llvm.UnrecognisedName) -> NoReturn:
        cpus, features = known_names(self.triple)
        if error.kind == "processor":
            raise TargetError(
                f"unknown CPU {error.name!r} for {self.triple}{_near(error.name, cpus)}; "
                "leave -mcpu out for the architecture's generic CPU"
            ) from None
        raise TargetError(
            f"unknown feature {error.name!r} for {self.triple}{_near(error.name.lstrip('+-'), features)}; "
            "features are written -mattr=+name,-name"
        ) from None

    def check_runs_on(self, info: DeviceInfo, compiler: llvm.CompilerProcess | None = None) -> None:
        """Check that a device can run code of this target, before anything is sent there.

        Raises
        ------
        TargetError
            If architecture, bitness, float ABI or C library differ, or if the CPU or the features of this target
            enable an ISA extension that the device lacks.
        """
        device = Target.of_device(info)
        name = info.hostname or "at hand"
        for what, needed, given in (
            ("the architecture", self.arch, device.arch),
            ("a user space of", f"{self.bits} bits", f"{device.bits} bits"),
            ("the float ABI", self.float_abi, device.float_abi),
            ("the C library", self.libc, device.libc),
        ):
            if needed != given:
                cpu = f" -mcpu={device.cpu}" if device.cpu else ""
                raise TargetError(
                    f"the target '{self}' needs {what} {needed}, but the device {name} has {given} ({info.machine}, "
                    f"{info.bits}-bit); leave the target out, or write 'llvm -mtriple={device.triple}{cpu}'"
                )
        lacking = self._lacking(info, compiler or llvm.shared())
        if lacking:
            without = replace(self, features=(*self._without(lacking), *(f"-{feature}" for feature in lacking)))
            raise TargetError(
                f"the target '{self}' uses {', '.join(lacking)}, which the device {name} "
                f"({device.cpu or info.machine}) does not have; leave the target out, or write '{without}'"
            )

    def _lacking(self, info: DeviceInfo, compiler: llvm.CompilerProcess) -> tuple[str, ...]:
        """Return the extensions that this target uses and the device does not have."""
        try:
            enabled = compiler.enabled(tuple(KNOWN[self.arch]), self.machine)
        except CompileError as error:
            self.explain(error)
        has = device_features(info, self.arch)
        if has is None:
            return ()
        used = {name for name in enabled if name not in BY_INTRINSICS_ONLY or f"+{name}" in self.features}
        return tuple(name for name in KNOWN[self.arch] if name in used and name not in has)

    def _without(self, names: Iterable[str]) -> tuple[str, ...]:
        dropped = set(names)
        return tuple(feature for feature in self.features if feature[1:] not in dropped)


@functools.cache
def known_names(triple: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return LLVM's names of CPUs and of features for `triple`."""
    return llvm.known_names(triple)


@functools.cache
def _host() -> Target:
    import platform

    triple, cpu, enabled = llvm.shared().host()
    target = Target._make(triple)
    name, version = platform.libc_ver()
    known = frozenset(name for name in KNOWN[target.arch] if name in enabled)
    target = Target._make(target.triple, cpu=cpu, features=explicit(known, target.arch, cpu=cpu))
    return replace(target, glibc=DeviceInfo(libc=(name, version)).glibc)


def _split_triple(triple: str) -> tuple[str, str]:
    """Return architecture and environment of a triple in any usual spelling."""
    text = triple.strip().lower()
    first, *rest = ("x86_64" + text[6:] if text.startswith("x86-64") else text).split("-")
    if rest[:1] == ["a"] and f"{first}-a" in _ARCHES:
        first, rest = f"{first}-a", rest[1:]
    if first == "armv8" and any(part.endswith(("eabi", "eabihf")) for part in rest):
        first = "armv8l"
    if first not in _ARCHES:
        raise TargetError(
            f"unknown architecture {first!r} in the target {triple!r}{_near(first, _ARCHES)}; supported are x86_64, "
            f"i686, aarch64, armv6l, armv7l, armv8l and riscv64: write, for instance, {_EXAMPLE}"
        )
    if rest and rest[0] in _VENDORS:
        rest = rest[1:]
    if rest and rest[0] == "linux":
        rest = rest[1:]
    architecture = _ARCHES[first]
    environment = rest[0] if len(rest) == 1 else "gnu" if not rest else "-".join(rest)
    if environment == "unknown":
        environment = "gnu"
    if architecture.startswith("arm") and environment in ("gnu", "musl", "android"):
        soft = first in ("armel",) or architecture == "armv5te" or environment == "android"
        environment += "eabi" if soft else "eabihf"
    expected = {name for name in _ENVIRONMENTS if ("eabi" in name) == architecture.startswith("arm")}
    if environment not in expected:
        raise TargetError(
            f"the target {triple!r} ends in {environment!r}{_near(environment, expected)}; devices run Linux, with "
            f"one of {', '.join(sorted(expected))}: write, for instance, '{first}-linux-{min(expected, key=len)}'"
        )
    return architecture, environment


def _with_float_abi(architecture: str, environment: str, float_abi: str) -> str:
    if not architecture.startswith("arm") or float_abi not in ("hard", "soft"):
        raise TargetError(f"-mfloat-abi={float_abi} for {architecture}: it is hard or soft, on 32-bit Arm only")
    return environment.removesuffix("hf") + ("hf" if float_abi == "hard" else "")


def _read_options(words: list[str], text: str) -> Iterator[tuple[str, str]]:
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        name = "-" + name.lstrip("-") if name.startswith("-") else name
        if name not in _OPTIONS + _TVM_HINTS:
            raise TargetError(
                f"unknown option {word!r} in the target {text!r}{_near(name, _OPTIONS)}; "
                f"known are {', '.join(_OPTIONS)}: write, for instance, {_EXAMPLE}"
            )
        value = value if equals else next(rest, "")
        if not value or (not equals and value.startswith("-") and name != "-mattr"):
            raise TargetError(f"the option {name} in the target {text!r} needs a value: {name}=...")
        if name in _OPTIONS:
            yield ("-mtriple" if name == "-target" else name), value


def _read_features(value: str, text: str) -> Iterator[str]:
    for feature in filter(None, value.split(",")):
        if not re.fullmatch(r"[+-][A-Za-z0-9][\w.\-]*", feature):
            raise TargetError(f"the feature {feature!r} in the target {text!r} needs a sign: -mattr=+neon,-aes")
        yield feature


def _device_triple(info: DeviceInfo) -> str:
    machine = info.machine.lower()
    if info.bits == 32:
        machine = {"aarch64": "armv7l", "arm64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}.get(machine, machine)
    if machine not in _ARCHES:
        raise TargetError(
            f"the device {info.hostname or '(unnamed)'} has the architecture {info.machine!r}, which is not supported; "
            "x86_64, i686, aarch64, armv6l, armv7l and riscv64 are"
        )
    libc = {"musl": "musl", "bionic": "android", "android": "android"}.get(info.libc[0], "gnu")
    if not _ARCHES[machine].startswith("arm"):
        return f"{machine}-linux-{libc}"
    soft = info.float_abi == "soft" or libc == "android"
    return f"{machine}-linux-{libc}eabi{'' if soft else 'hf'}"


def llvm_host_cpu() -> str:
    """Ask LLVM for its name of this machine's CPU."""
    return llvm.shared().host()[1]


def _device_cpu(info: DeviceInfo, arch: str, host_cpu: Callable[[], str]) -> str:
    if arch in ("arm", "aarch64"):
        return arm_cpu(info.cpus, arch)
    if arch != "x86_64":
        return ""
    if info.boot_id and info.boot_id == this_boot():
        return host_cpu()
    return x86_level(info.features)


def this_boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""  # no Linux here: then no device is this machine


def _near(name: str, candidates: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(candidates), n=3, cutoff=0.6)
    return f" (near it: {', '.join(close)})" if close else ""
