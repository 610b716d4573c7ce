"""ISA extensions: LLVM's feature names and what /proc/cpuinfo calls them, and the CPUs behind Arm part numbers."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Final

from pytest_xdevice.device_info import DeviceInfo

Names = Mapping[str, "tuple[str, ...]"]

# LLVM's name: the names in /proc/cpuinfo, each of which shows that the CPU has it. Only what the compiler would
# emit by itself for a kernel is listed: branch protection, tagging and system registers make no difference here.
_AARCH64: Final[Names] = {
    "fp-armv8": ("fp",),
    "neon": ("asimd",),
    "crc": ("crc32",),
    "aes": ("aes",),
    "sha2": ("sha2",),
    "lse": ("atomics",),
    "rdm": ("asimdrdm",),
    "fullfp16": ("asimdhp",),
    "dotprod": ("asimddp",),
    "fp16fml": ("asimdfhm",),
    "rcpc": ("lrcpc",),
    "rcpc-immo": ("ilrcpc",),
    "jsconv": ("jscvt",),
    "complxnum": ("fcma",),
    "sha3": ("sha3",),
    "sm4": ("sm4",),
    "flagm": ("flagm",),
    "fptoint": ("frint",),
    "i8mm": ("i8mm",),
    "bf16": ("bf16",),
    "lse2": ("uscat",),
    "mops": ("mops",),
    "cssc": ("cssc",),
    "sve": ("sve",),
    "sve2": ("sve2",),
    "sme": ("sme",),
}
# A 32-bit user space on a 64-bit kernel may see the kernel's own names.
_ARM: Final[Names] = {
    "v6": ("armv6", "armv7", "armv8"),
    "v7": ("armv7", "armv8"),
    "v8": ("armv8",),
    "vfp2": ("vfp", "vfpv3", "vfpv4", "fp"),
    "vfp3d16": ("vfpv3", "vfpv3d16", "vfpv4", "asimd"),
    "d32": ("vfpd32", "neon", "asimd"),
    "neon": ("neon", "asimd"),
    "vfp4d16": ("vfpv4", "asimd"),
    "hwdiv": ("idivt", "asimd"),
    "hwdiv-arm": ("idiva", "asimd"),
    "fp-armv8": ("armv8",),
    "crc": ("crc32",),
    "aes": ("aes",),
    "sha2": ("sha2",),
    "fullfp16": ("asimdhp",),
    "dotprod": ("asimddp",),
    "i8mm": ("i8mm",),
    "bf16": ("asimdbf16", "bf16"),
}
_X86: Final[Names] = {
    "sse3": ("pni",),
    "ssse3": ("ssse3",),
    "sse4.1": ("sse4_1",),
    "sse4.2": ("sse4_2",),
    "popcnt": ("popcnt",),
    "cx16": ("cx16",),
    "sahf": ("lahf_lm",),
    "avx": ("avx",),
    "f16c": ("f16c",),
    "fma": ("fma",),
    "avx2": ("avx2",),
    "bmi": ("bmi1",),
    "bmi2": ("bmi2",),
    "lzcnt": ("abm",),
    "movbe": ("movbe",),
    "adx": ("adx",),
    "aes": ("aes",),
    "pclmul": ("pclmulqdq",),
    "sha": ("sha_ni",),
    "gfni": ("gfni",),
    "vaes": ("vaes",),
    "vpclmulqdq": ("vpclmulqdq",),
    "sse4a": ("sse4a",),
    "fma4": ("fma4",),
    "xop": ("xop",),
    "tbm": ("tbm",),
    "avxvnni": ("avx_vnni",),
    "avxifma": ("avx_ifma",),
    "avx512f": ("avx512f",),
    "avx512cd": ("avx512cd",),
    "avx512bw": ("avx512bw",),
    "avx512dq": ("avx512dq",),
    "avx512vl": ("avx512vl",),
    "avx512ifma": ("avx512ifma",),
    "avx512vbmi": ("avx512vbmi",),
    "avx512vbmi2": ("avx512_vbmi2",),
    "avx512vnni": ("avx512_vnni",),
    "avx512bitalg": ("avx512_bitalg",),
    "avx512vpopcntdq": ("avx512_vpopcntdq",),
    "avx512bf16": ("avx512_bf16",),
    "avx512fp16": ("avx512_fp16",),
    "amx-tile": ("amx_tile",),
}
_RISCV: Final[Names] = {name: (name,) for name in ("m", "a", "f", "d", "c", "v", "zba", "zbb", "zbs", "zfh", "zvfh")}

KNOWN: Final[Mapping[str, Names]] = {
    "aarch64": _AARCH64,
    "arm": _ARM,
    "x86_64": _X86,
    # In 32-bit code every CPU has LAHF; the flag in /proc/cpuinfo is about 64-bit code.
    "i686": {"sse2": ("sse2",), **{name: flags for name, flags in _X86.items() if name != "sahf"}},
    "riscv64": _RISCV,
}
# Instructions that come from intrinsics alone. They are optional in CPUs whose name promises them to LLVM, as in the
# Cortex-A53 of a Raspberry Pi 3, so that a name does not count as use.
BY_INTRINSICS_ONLY: Final = frozenset(
    {"aes", "sha2", "sha3", "sm4", "pclmul", "sha", "gfni", "vaes", "vpclmulqdq", "amx-tile", "sme"}
)
# Levels of the architecture are the triple's and the CPU's business; as features they are only checked.
_NOT_WRITTEN: Final = frozenset({"v6", "v7", "v8"})
# Always there by the architecture, so that saying it adds nothing.
_BASE: Final = {"aarch64": frozenset({"fp-armv8", "neon"}), "riscv64": frozenset("mafdc")}

_X86_LEVELS: Final = (
    ("x86-64-v4", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")),
    ("x86-64-v3", ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe")),
    ("x86-64-v2", ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3")),
)

# (implementer, part) of MIDR_EL1, as /proc/cpuinfo prints them: LLVM's name of the CPU.
# Source: Arm's technical reference manuals, and the table of lscpu (util-linux, sys-utils/lscpu-arm.c).
_ARM_PARTS: Final[Mapping[tuple[int, int], str]] = {
    (0x41, 0xB02): "mpcore",
    (0x41, 0xB76): "arm1176jzf-s",
    (0x41, 0xC05): "cortex-a5",
    (0x41, 0xC07): "cortex-a7",
    (0x41, 0xC08): "cortex-a8",
    (0x41, 0xC09): "cortex-a9",
    (0x41, 0xC0D): "cortex-a17",
    (0x41, 0xC0E): "cortex-a17",
    (0x41, 0xC0F): "cortex-a15",
    (0x41, 0xD01): "cortex-a32",
    (0x41, 0xD02): "cortex-a34",
    (0x41, 0xD03): "cortex-a53",
    (0x41, 0xD04): "cortex-a35",
    (0x41, 0xD05): "cortex-a55",
    (0x41, 0xD06): "cortex-a65",
    (0x41, 0xD07): "cortex-a57",
    (0x41, 0xD08): "cortex-a72",
    (0x41, 0xD09): "cortex-a73",
    (0x41, 0xD0A): "cortex-a75",
    (0x41, 0xD0B): "cortex-a76",
    (0x41, 0xD0C): "neoverse-n1",
    (0x41, 0xD0D): "cortex-a77",
    (0x41, 0xD0E): "cortex-a76ae",
    (0x41, 0xD40): "neoverse-v1",
    (0x41, 0xD41): "cortex-a78",
    (0x41, 0xD42): "cortex-a78ae",
    (0x41, 0xD43): "cortex-a65ae",
    (0x41, 0xD44): "cortex-x1",
    (0x41, 0xD46): "cortex-a510",
    (0x41, 0xD47): "cortex-a710",
    (0x41, 0xD48): "cortex-x2",
    (0x41, 0xD49): "neoverse-n2",
    (0x41, 0xD4A): "neoverse-e1",
    (0x41, 0xD4B): "cortex-a78c",
    (0x41, 0xD4C): "cortex-x1c",
    (0x41, 0xD4D): "cortex-a715",
    (0x41, 0xD4E): "cortex-x3",
    (0x41, 0xD4F): "neoverse-v2",
    (0x41, 0xD80): "cortex-a520",
    (0x41, 0xD81): "cortex-a720",
    (0x41, 0xD82): "cortex-x4",
    (0x41, 0xD84): "neoverse-v3",
    (0x41, 0xD85): "cortex-x925",
    (0x41, 0xD87): "cortex-a725",
    (0x41, 0xD8E): "neoverse-n3",
    (0x42, 0x516): "thunderx2t99",
    (0x43, 0x0A1): "thunderxt88",
    (0x43, 0x0A2): "thunderxt81",
    (0x43, 0x0A3): "thunderxt83",
    (0x43, 0x0AF): "thunderx2t99",
    (0x43, 0x0B8): "thunderx3t110",
    (0x46, 0x001): "a64fx",
    (0x48, 0xD01): "tsv110",
    (0x4E, 0x004): "carmel",
    (0x51, 0x201): "kryo",
    (0x51, 0x205): "kryo",
    (0x51, 0x211): "kryo",
    (0x51, 0x800): "cortex-a73",
    (0x51, 0x801): "cortex-a53",
    (0x51, 0x802): "cortex-a75",
    (0x51, 0x803): "cortex-a55",
    (0x51, 0x804): "cortex-a76",
    (0x51, 0x805): "cortex-a55",
    (0x51, 0xC00): "falkor",
    (0x51, 0xC01): "saphira",
    (0x61, 0x022): "apple-m1",
    (0x61, 0x023): "apple-m1",
    (0x61, 0x024): "apple-m1",
    (0x61, 0x025): "apple-m1",
    (0x61, 0x028): "apple-m1",
    (0x61, 0x029): "apple-m1",
    (0x61, 0x032): "apple-m2",
    (0x61, 0x033): "apple-m2",
    (0x61, 0x034): "apple-m2",
    (0x61, 0x035): "apple-m2",
    (0x61, 0x038): "apple-m2",
    (0x61, 0x039): "apple-m2",
    (0xC0, 0xAC3): "ampere1",
    (0xC0, 0xAC4): "ampere1a",
    (0xC0, 0xAC5): "ampere1b",
}
# Of a big.LITTLE pair with as many cores each, the kernel has to run well on the smaller.
_LITTLE: Final = frozenset(
    {"cortex-a7", "cortex-a32", "cortex-a34", "cortex-a35", "cortex-a53", "cortex-a55", "cortex-a510", "cortex-a520"}
)
_ONLY_AARCH64: Final = (
    *("neoverse", "apple", "thunder", "a64fx", "tsv", "ampere", "falkor", "saphira", "carmel", "cortex-a34"),
    *("cortex-a65", "cortex-a51", "cortex-a52", "cortex-a715", "cortex-a72", "cortex-x2", "cortex-x3", "cortex-x4"),
    "cortex-x9",
)
_BOTH_STATES: Final = frozenset({"cortex-a72"})
# Extensions that LLVM gives these CPUs by name; leaving out a feature that a name does not imply takes nothing away.
_ARMV8_0: Final = frozenset({"crc", "aes", "sha2"})
_ARMV8_2: Final = _ARMV8_0 | {"lse", "rdm", "fullfp16", "dotprod", "fp16fml", "rcpc"}
_IMPLIED: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("cortex-a34", "cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72", "cortex-a73"), _ARMV8_0),
    **dict.fromkeys(("thunderxt81", "thunderxt83", "thunderxt88", "kryo"), _ARMV8_0),
    **dict.fromkeys(("cortex-a55", "cortex-a65", "cortex-a75", "cortex-a76", "cortex-a77", "cortex-a78"), _ARMV8_2),
    "neoverse-n1": _ARMV8_2,
}


def arm_cpu(cpus: Iterable[tuple[str, str, int]], arch: str) -> str:
    """Return LLVM's name of the CPU that most cores are, of those that `arch` can name; empty when unknown."""
    counted: dict[str, int] = {}
    for implementer, part, count in cpus:
        try:
            name = _ARM_PARTS.get((int(implementer, 0), int(part, 0)), "")
        except ValueError:
            name = ""
        counted[name] = counted.get(name, 0) + count
    if not counted:
        return ""
    most = max(counted.values())
    candidates = sorted(name for name, count in counted.items() if count == most)
    chosen = next((name for name in candidates if name in _LITTLE), candidates[0])
    if arch == "arm" and chosen.startswith(_ONLY_AARCH64) and chosen not in _BOTH_STATES:
        return ""  # its 32-bit side has no name of its own in LLVM
    return chosen


def x86_level(flags: Iterable[str]) -> str:
    """Return the highest x86-64 microarchitecture level whose flags are all there."""
    have = set(flags)
    for position, (name, _) in enumerate(_X86_LEVELS):
        if all(have.issuperset(required) for _, required in _X86_LEVELS[position:]):
            return name
    return "x86-64"


def device_features(info: DeviceInfo, arch: str) -> frozenset[str] | None:
    """Return LLVM's names of the extensions that a device has, or None when it did not say.

    A device that lists nothing of `arch` (an emulator that passes its host's list on) did not say.
    """
    table = KNOWN[arch]
    if info.features.isdisjoint(spelling for spellings in table.values() for spelling in spellings):
        return None
    spelled = info.features | _arm_level(info)
    return frozenset(name for name, spellings in table.items() if not spelled.isdisjoint(spellings))


def explicit(enabled: frozenset[str], arch: str, *, cpu: str) -> tuple[str, ...]:
    """Spell a set of extensions out: ``+a`` for each that is there and ``-b`` for each known one that is not.

    The negative ones come last: to LLVM a feature brings along what it implies, and these take it away again.
    They are left out where `cpu` is known not to promise them.
    """
    written = [name for name in KNOWN[arch] if name not in _NOT_WRITTEN]
    base = _BASE.get(arch, frozenset())
    present = tuple(f"+{name}" for name in written if name in enabled and name not in base)
    if cpu.startswith("x86-64") or (not cpu and arch != "arm"):
        return present
    implied = _IMPLIED.get(cpu, frozenset(written)) if arch == "aarch64" else frozenset(written)
    return (*present, *(f"-{name}" for name in written if name not in enabled and name in implied))


def _arm_level(info: DeviceInfo) -> set[str]:
    if info.machine.startswith(("aarch64", "arm64", "armv8")):
        return {"armv8"}
    level = info.cpu.get("cpu_architecture", "")
    if level in ("8", "AArch64"):
        return {"armv8"}
    found = {"armv6l": "armv6", "armv7l": "armv7"}.get(info.machine)
    return {found} if found else set()
