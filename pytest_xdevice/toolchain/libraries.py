"""What a device's libraries export, as far as kernels use it, and stub libraries to link against.

A stub has a library's name and the versioned symbols that kernels may need, and no code. Linking against it makes
the same DT_NEEDED entries and version requirements as linking on the device would, without a copy of its files.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_xdevice.target import Target


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Functions of <math.h> that exist for double and, with an f, for float.
_MATH: Final = _names(
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp10 exp2 expm1 fabs fdim floor "
    "fma fmax fmin fmod frexp hypot ilogb ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan "
    "nearbyint nextafter pow remainder remquo rint round scalbln scalbn sin sincos sinh sqrt tan tanh tgamma trunc"
)
# glibc gave these a quicker implementation, without the errno wrapper, under a new version; on RISC-V, which never had
# the wrapper, they kept the old one.
_FASTER: Final[Mapping[str, tuple[int, int]]] = {
    "expf": (2, 27), "exp2f": (2, 27), "logf": (2, 27), "log2f": (2, 27), "powf": (2, 27),
    "exp": (2, 29), "exp2": (2, 29), "log": (2, 29), "log2": (2, 29), "pow": (2, 29),
    "exp10f": (2, 32), "hypot": (2, 35), "hypotf": (2, 35), "fmod": (2, 38), "fmodf": (2, 38),
}  # fmt: skip
_ADDED: Final[Mapping[str, tuple[int, int]]] = {"roundeven": (2, 25), "roundevenf": (2, 25)}
# The first glibc of each architecture: what its oldest symbols are called.
_BASE: Final[Mapping[str, tuple[int, ...]]] = {
    "x86_64": (2, 2, 5),
    "i686": (2, 0),
    "aarch64": (2, 17),
    "arm": (2, 4),
    "riscv64": (2, 27),
}
# Functions of i386's libm that came after its first version.
_I686_MATH: Final = _names(
    "exp2 fdim fma fmax fmin llrint llround log2 lrint lround nan nearbyint remquo round scalbln sincos tgamma "
    "trunc exp10"
)
_LIBC: Final = _names(
    "abort abs atof atoi atol bcmp bsearch calloc exit fflush fprintf fputc fputs free fwrite getenv getpid "
    "gettimeofday labs malloc memchr memcmp memcpy memmove memset printf putchar puts qsort raise rand realloc "
    "sigfillset sigprocmask snprintf sprintf srand stderr stdout strcat strchr strcmp strcpy strdup strlen "
    "strncat strncmp strncpy strrchr strstr strtod strtof strtol strtoul syscall time usleep vfprintf vsnprintf"
)
# What came after the first version of the C library on some architecture.
_LATER_LIBC: Final[Mapping[str, tuple[int, int]]] = {
    "posix_memalign": (2, 2), "aligned_alloc": (2, 16), "__assert_fail": (2, 0), "__errno_location": (2, 0),
}  # fmt: skip
_THREADS: Final = _names("pthread_create pthread_join")
_THREADS_IN_LIBC: Final = (2, 34)  # the first glibc without a libpthread of its own
_AEABI_MEMORY: Final = tuple(
    f"__aeabi_{name}{size}" for name in ("memcpy", "memmove", "memset", "memclr") for size in ("", "4", "8")
)
_AEABI: Final = _names(
    "d2f d2iz d2lz d2uiz d2ulz dadd dcmpeq dcmpge dcmpgt dcmple dcmplt dcmpun ddiv dmul dsub f2d f2iz f2lz f2uiz f2ulz "
    "fadd fcmpeq fcmpge fcmpgt fcmple fcmplt fcmpun fdiv fmul fsub i2d i2f idiv idivmod l2d l2f lasr lcmp ldivmod llsl "
    "llsr lmul ui2d ui2f uidiv uidivmod ul2d ul2f ulcmp uldivmod"
)
_GCC_64: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("__divti3", "__modti3", "__udivti3", "__umodti3", "__multi3", "__fixsfti", "__fixdfti", "__fixunssfti",
         "__fixunsdfti", "__floattisf", "__floattidf"), "GCC_3.0"
    ),
    **dict.fromkeys(("__floatuntisf", "__floatuntidf"), "GCC_4.2.0"),
    **dict.fromkeys(("__powisf2", "__powidf2"), "GCC_4.0.0"),
}  # fmt: skip
_GCC_X86_64: Final = dict.fromkeys(("__extendhfsf2", "__truncsfhf2", "__truncdfhf2"), "GCC_12.0.0")
_GCC_I686: Final = dict.fromkeys(("__divdi3", "__moddi3", "__udivdi3", "__umoddi3"), "GLIBC_2.0")
_GCC_ARM: Final = {
    **{f"__aeabi_{name}": "GCC_3.5" for name in _AEABI},
    **{f"__aeabi_unwind_cpp_pr{number}": "GCC_3.5" for number in range(3)},
    **dict.fromkeys(("__powisf2", "__powidf2"), "GCC_4.0.0"),
}

_MUSL_ARCHES: Final = {
    "x86_64": "x86_64", "i686": "i386", "aarch64": "aarch64", "riscv64": "riscv64",
    "armv7l": "armv7", "armv8l": "armv7", "armv6l": "armhf", "armv5te": "armel",
}  # fmt: skip
_ASSUMED_GLIBC: Final = (2, 28)


@dataclass(frozen=True)
class Library:
    """A shared library as the linker sees it.

    Attributes
    ----------
    soname : str
        What DT_NEEDED will say.
    symbols : dict of str to str
        Exported names and the version that a kernel shall bind to; an empty string where there are no versions.
    """

    soname: str
    symbols: Mapping[str, str]


def libraries_for(target: Target) -> tuple[Library, ...]:
    """Return the libraries that kernels for `target` may need, in the order in which they are searched."""
    gcc = _libgcc(target)
    math = {name + suffix for name in _MATH for suffix in ("", "f")}
    plain = dict.fromkeys((*sorted(math), *_ADDED, *_LIBC, *_LATER_LIBC, *_THREADS, "clock_gettime"), "")
    if target.libc == "musl":
        name = _MUSL_ARCHES[target.triple.split("-")[0]]
        return (Library(f"libc.musl-{name}.so.1", _aeabi_memory(plain, target, "")), gcc)
    if target.libc == "android":
        maths = dict.fromkeys(sorted(math), "")
        others = dict.fromkeys((*_LIBC, *_THREADS, "clock_gettime"), "")
        return Library("libm.so", maths), Library("libc.so", _aeabi_memory(others, target, ""))
    return _glibc_libm(target, sorted(math)), *_glibc_libc(target), gcc


def needed_by(undefined: Iterable[str], target: Target) -> tuple[tuple[Library, ...], tuple[str, ...]]:
    """Return the libraries that define the `undefined` symbols, and the symbols that none of them defines."""
    libraries = libraries_for(target)
    used: dict[str, Library] = {}
    unknown: list[str] = []
    for name in undefined:
        if name == "_GLOBAL_OFFSET_TABLE_":
            continue  # the linker's own
        library = next((library for library in libraries if name in library.symbols), None)
        if library is None:
            unknown.append(name)
        else:
            used[library.soname] = library
    return tuple(used.values()), tuple(unknown)


def stub_ir(library: Library) -> str:
    """Return LLVM IR that defines each symbol of `library` as an empty function."""
    return "".join(f"define void @{name}() {{\n  ret void\n}}\n" for name in library.symbols)


def version_script(library: Library) -> str:
    """Return the linker's version script that gives each symbol its version; empty when there are no versions."""
    grouped: dict[str, list[str]] = {}
    for name, version in library.symbols.items():
        if version:
            grouped.setdefault(version, []).append(name)
    return "".join(f"{version} {{ global: {'; '.join(names)}; }};\n" for version, names in grouped.items())


def _glibc_libm(target: Target, names: Iterable[str]) -> Library:
    base = _BASE[target.arch]
    have = target.glibc or _ASSUMED_GLIBC
    later = {name + suffix for name in _I686_MATH for suffix in ("", "f")}
    symbols: dict[str, str] = {}
    for name in names:
        oldest = (2, 1) if target.arch == "i686" and name in later else base
        newer = _FASTER.get(name, (0,)) if target.arch != "riscv64" else (0,)
        symbols[name] = _glibc(newer if oldest < newer <= have else oldest)
    symbols.update({name: _glibc(max(added, base)) for name, added in _ADDED.items() if added <= have})
    return Library("libm.so.6", symbols)


def _glibc_libc(target: Target) -> Iterator[Library]:
    """Yield libc, and libpthread as long as that was another."""
    base = _glibc(_BASE[target.arch])
    symbols = dict.fromkeys(_LIBC, base)
    symbols.update({name: _glibc(max(added, _BASE[target.arch])) for name, added in _LATER_LIBC.items()})
    if target.arch == "x86_64":
        symbols["memcpy"] = "GLIBC_2.14"  # the older one has the semantics of memmove
    symbols["clock_gettime"] = _glibc(max((2, 17), _BASE[target.arch]))  # before 2.17 it was in librt
    if (target.glibc or _ASSUMED_GLIBC) >= _THREADS_IN_LIBC:
        symbols.update(dict.fromkeys(_THREADS, _glibc(_THREADS_IN_LIBC)))
        yield Library("libc.so.6", _aeabi_memory(symbols, target, base))
        return
    yield Library("libc.so.6", _aeabi_memory(symbols, target, base))
    # Later glibcs keep these versions, and an empty library of that name.
    oldest = "GLIBC_2.1" if target.arch == "i686" else base
    yield Library("libpthread.so.0", {"pthread_create": oldest, "pthread_join": base})


def _libgcc(target: Target) -> Library:
    by_arch: dict[str, Mapping[str, str]] = {
        "x86_64": {**_GCC_64, **_GCC_X86_64},
        "i686": {**_GCC_I686, **dict.fromkeys(("__powisf2", "__powidf2"), "GCC_4.0.0")},
        "arm": _GCC_ARM,
    }
    return Library("libgcc_s.so.1", by_arch.get(target.arch, _GCC_64))


def _aeabi_memory(symbols: Mapping[str, str], target: Target, version: str) -> Mapping[str, str]:
    return {**symbols, **dict.fromkeys(_AEABI_MEMORY, version)} if target.arch == "arm" else symbols


def _glibc(version: tuple[int, ...]) -> str:
    return "GLIBC_" + ".".join(map(str, version))
