"""Targets: what code is generated for, and the target that a device is.

A target is normalised when it is made, so that two spellings of one target are equal and share the cache.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from collections.abc import Iterable
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
from .target_text import ARCHITECTURES
from .target_text import EXAMPLE
from .target_text import near
from .target_text import read_features
from .target_text import read_options
from .target_text import split_triple
from .target_text import with_float_abi
from .toolchain import llvm
from .toolchain.features import arm_cpu
from .toolchain.features import BY_INTRINSICS_ONLY
from .toolchain.features import device_features
from .toolchain.features import explicit
from .toolchain.features import KNOWN
from .toolchain.features import x86_level

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
            raise TargetError(f"a target must not be empty; write a triple, such as {EXAMPLE}")
        if words[0] != "llvm":
            if len(words) > 1:
                raise TargetError(f"options follow 'llvm': write 'llvm -mtriple={text}' for the target {text!r}")
            return cls._make(words[0])
        options = dict(read_options(words[1:], text))
        triple = options.pop("-mtriple", "")
        if not triple and not options:
            return cls.host()
        return cls._make(
            triple or cls.host().triple,
            cpu=options.get("-mcpu", ""),
            features=tuple(read_features(options.get("-mattr", ""), text)),
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
        architecture, environment = split_triple(triple)
        if float_abi:
            environment = with_float_abi(architecture, environment, float_abi)
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
                f"unknown CPU {error.name!r} for {self.triple}{near(error.name, cpus)}; "
                "leave -mcpu out for the architecture's generic CPU"
            ) from None
        raise TargetError(
            f"unknown feature {error.name!r} for {self.triple}{near(error.name.lstrip('+-'), features)}; "
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


def _device_triple(info: DeviceInfo) -> str:
    machine = info.machine.lower()
    if info.bits == 32:
        machine = {"aarch64": "armv7l", "arm64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}.get(machine, machine)
    if machine not in ARCHITECTURES:
        raise TargetError(
            f"the device {info.hostname or '(unnamed)'} has the architecture {info.machine!r}, which is not supported; "
            "x86_64, i686, aarch64, armv6l, armv7l and riscv64 are"
        )
    libc = {"musl": "musl", "bionic": "android", "android": "android"}.get(info.libc[0], "gnu")
    if not ARCHITECTURES[machine].startswith("arm"):
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
