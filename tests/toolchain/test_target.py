from __future__ import annotations

from pathlib import Path

import pytest

from pytest_xdevice.device_info import DeviceInfo
from pytest_xdevice.errors import TargetError
from pytest_xdevice.target import known_names
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain import features
from pytest_xdevice.toolchain import llvm

TRIPLES = {
    "x86_64": "x86_64-unknown-linux-gnu",
    "x86-64-linux-gnu": "x86_64-unknown-linux-gnu",
    "amd64": "x86_64-unknown-linux-gnu",
    "x86_64-pc-linux-gnu": "x86_64-unknown-linux-gnu",
    "x86_64-linux-musl": "x86_64-unknown-linux-musl",
    "i386-linux-gnu": "i686-unknown-linux-gnu",
    "aarch64-linux-gnu": "aarch64-unknown-linux-gnu",
    "arm64": "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu": "aarch64-unknown-linux-gnu",
    "aarch64-linux-android": "aarch64-unknown-linux-android",
    "armv7l-linux-gnueabihf": "armv7l-unknown-linux-gnueabihf",
    "armv7a-linux-gnueabihf": "armv7l-unknown-linux-gnueabihf",
    "armv7-a": "armv7l-unknown-linux-gnueabihf",
    "arm-linux-gnueabihf": "armv7l-unknown-linux-gnueabihf",
    "armhf": "armv7l-unknown-linux-gnueabihf",
    "armv7l-linux-gnueabi": "armv7l-unknown-linux-gnueabi",
    "armv7l-linux-musleabihf": "armv7l-unknown-linux-musleabihf",
    "arm-linux-gnueabi": "armv5te-unknown-linux-gnueabi",
    "armv8l-linux-gnueabihf": "armv8l-unknown-linux-gnueabihf",
    "armv6": "armv6l-unknown-linux-gnueabihf",
    "riscv64-linux-gnu": "riscv64-unknown-linux-gnu",
    "riscv64gc-unknown-linux-gnu": "riscv64-unknown-linux-gnu",
    "llvm -mtriple=aarch64-linux-gnu": "aarch64-unknown-linux-gnu",
    "llvm -mtriple aarch64-linux-gnu": "aarch64-unknown-linux-gnu",
    "llvm --mtriple=aarch64-linux-gnu": "aarch64-unknown-linux-gnu",
    "llvm -target=aarch64-linux-gnu": "aarch64-unknown-linux-gnu",
    "llvm -target aarch64-linux-gnu": "aarch64-unknown-linux-gnu",
    "llvm -keys=arm_cpu,cpu -device=arm_cpu -mtriple=armv7l-linux-gnueabihf": "armv7l-unknown-linux-gnueabihf",
    "llvm -mtriple=armv7l-linux-gnueabi -mfloat-abi=hard": "armv7l-unknown-linux-gnueabihf",
}


@pytest.mark.parametrize(("text", "triple"), TRIPLES.items(), ids=TRIPLES)
def test_every_usual_spelling_becomes_four_parts_that_read_back(text: str, triple: str) -> None:
    target = Target.parse(text)
    assert target.triple == triple
    assert Target.parse(str(target)) == target
    target.validate()


def test_cpu_and_features_are_kept_in_order() -> None:
    target = Target.parse("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76 -mattr=+sve,-aes")
    assert (target.cpu, target.features) == ("cortex-a76", ("+sve", "-aes"))
    assert str(target) == "llvm -mtriple=aarch64-unknown-linux-gnu -mcpu=cortex-a76 -mattr=+sve,-aes"


def test_a_feature_that_is_written_replaces_what_the_triple_promises() -> None:
    assert Target.parse("llvm -mtriple=armv7l-linux-gnueabihf -mattr=+neon").features == ("+vfp3d16", "-d32", "+neon")
    assert Target.parse("llvm -mtriple=riscv64-linux-gnu -mattr=-c,+v").features == (
        *("+m", "+a", "+f", "+d"),
        *("-c", "+v"),
    )


def test_llvm_alone_is_this_host_with_its_cpu() -> None:
    triple, cpu, enabled = llvm.shared().host()
    host = Target.parse("llvm")
    assert host == Target.host()
    assert host.cpu == cpu
    assert host.arch == triple.split("-")[0]
    for feature in host.features:
        assert (feature[1:] in enabled) == (feature[0] == "+")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must not be empty"),
        ("aarch65-linux-gnu", "unknown architecture 'aarch65' .*near it: aarch64"),
        ("sparc-linux-gnu", "supported are x86_64, i686, aarch64"),
        ("aarch64-apple-darwin", "devices run Linux"),
        ("aarch64-linux-gnueabihf", "ends in 'gnueabihf'"),
        ("armv7l-linux-gnueabhf", "near it: gnueabihf"),
        ("llvm -mfpu=neon", "unknown option '-mfpu=neon'.*known are -mtriple, -target, -mcpu, -mattr"),
        ("llvm -mtriple='aarch64-linux-gnu", "cannot read the target .*: No closing quotation"),
        ("llvm -mcpu", "-mcpu .*needs a value"),
        ("llvm -mcpu -mattr=+neon", "-mcpu .*needs a value"),
        ("llvm -mtriple=aarch64-linux-gnu -mattr=neon", r"'neon' .*needs a sign"),
        ("llvm -mtriple=riscv64-linux-gnu -mabi=ilp32", "known: lp64d"),
        ("llvm -mtriple=aarch64-linux-gnu -mfloat-abi=hard", "32-bit Arm only"),
        ("aarch64-linux-gnu -mcpu=cortex-a53", "write 'llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a53'"),
    ],
)
def test_a_target_that_cannot_be_read_is_refused_with_advice(text: str, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        Target.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a54", "unknown CPU 'cortex-a54'.*near it: .*cortex-a5"),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=znver33", "unknown CPU 'znver33'.*near it: .*znver3"),
        ("llvm -mtriple=riscv64-linux-gnu -mcpu=sifive-u75", "unknown CPU 'sifive-u75'.*near it: .*sifive-u74"),
        ("llvm -mtriple=aarch64-linux-gnu -mattr=+dotprd", r"unknown feature '\+dotprd'.*near it: .*dotprod"),
    ],
)
def test_a_name_that_llvm_does_not_know_is_refused_with_names_near_it(text: str, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        Target.parse(text).validate()


def info(**facts: object) -> DeviceInfo:
    """Return what a device with these facts reports, a Cortex-A53 without cryptography where they leave it open."""
    board = {
        "hostname": "board",
        "machine": "aarch64",
        "bits": 64,
        "libc": ["glibc", "2.31"],
        "cpus": [["0x41", "0xd03", 4]],
        "features": ["fp", "asimd", "evtstrm", "crc32", "cpuid"],
    }
    return DeviceInfo.from_wire({**board, **facts})


ARM32 = {
    "machine": "armv7l",
    "bits": 32,
    "float_abi": "hard",
    "cpus": [["0x41", "0xc07", 4]],
    "features": [
        *("half", "thumb", "fastmult", "vfp", "edsp", "neon", "vfpv3", "tls", "vfpv4", "idiva", "idivt", "vfpd32"),
        "lpae",
    ],
}
X86 = {"machine": "x86_64", "cpus": [], "boot_id": "another machine"}
HASWELL = [
    *("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma"),
    *("abm", "movbe", "aes", "pclmulqdq", "rdrand"),
]


@pytest.mark.parametrize(
    ("facts", "spelling"),
    [
        ({}, "llvm -mtriple=aarch64-unknown-linux-gnu -mcpu=cortex-a53 -mattr=+crc,-aes,-sha2"),
        ({"libc": ["musl", "1.2.4"], "features": [], "cpus": []}, "llvm -mtriple=aarch64-unknown-linux-musl"),
        (
            {"bits": 32, "float_abi": "hard", "features": []},
            "llvm -mtriple=armv7l-unknown-linux-gnueabihf -mcpu=cortex-a53",
        ),
        (
            ARM32,
            "llvm -mtriple=armv7l-unknown-linux-gnueabihf -mcpu=cortex-a7 -mattr=+vfp2,+vfp3d16,+d32,+neon,+vfp4d16,"
            "+hwdiv,+hwdiv-arm,-fp-armv8,-crc,-aes,-sha2,-fullfp16,-dotprod,-i8mm,-bf16",
        ),
        (
            {"machine": "armv6l", "bits": 32, "float_abi": "hard", "cpus": [["0x41", "0xb76", 1]], "features": []},
            "llvm -mtriple=armv6l-unknown-linux-gnueabihf -mcpu=arm1176jzf-s",
        ),
        (
            {**ARM32, "float_abi": "soft", "features": [], "cpus": []},
            "llvm -mtriple=armv7l-unknown-linux-gnueabi -mattr=+vfp3d16,-d32,-neon",
        ),
        (
            {**X86, "features": HASWELL},
            "llvm -mtriple=x86_64-unknown-linux-gnu -mcpu=x86-64-v3 -mattr=+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,"
            "+sahf,+avx,+f16c,+fma,+avx2,+bmi,+bmi2,+lzcnt,+movbe,+aes,+pclmul",
        ),
        ({**X86, "bits": 32, "features": []}, "llvm -mtriple=i686-unknown-linux-gnu -mattr=+sse2"),
        (
            {"machine": "riscv64", "cpus": [], "features": list("imafdc")},
            "llvm -mtriple=riscv64-unknown-linux-gnu -mattr=+m,+a,+f,+d,+c",
        ),
    ],
)
def test_the_target_of_a_device_names_its_cpu_and_what_that_lacks(facts: dict[str, object], spelling: str) -> None:
    target = Target.of_device(info(**facts))
    assert str(target) == spelling
    assert Target.parse(spelling) == target
    target.validate()


def test_the_target_of_a_device_carries_the_version_of_its_glibc() -> None:
    assert Target.of_device(info()).glibc == (2, 31)
    assert Target.parse("aarch64-linux-gnu").completed(info()).glibc == (2, 31)
    assert Target.of_device(info(libc=["musl", "1.2.4"])).glibc is None


def test_of_a_big_little_pair_the_kind_with_more_cores_counts_and_then_the_smaller() -> None:
    little, big = ["0x41", "0xd03", 4], ["0x41", "0xd08", 2]
    assert Target.of_device(info(cpus=[little, big])).cpu == "cortex-a53"
    assert Target.of_device(info(cpus=[["0x41", "0xd03", 2], ["0x41", "0xd08", 4]])).cpu == "cortex-a72"
    assert Target.of_device(info(cpus=[["0x41", "0xd08", 4], little])).cpu == "cortex-a53"
    assert Target.of_device(info(cpus=[["0x99", "0xfff", 4]])).cpu == ""


def test_a_device_on_this_machine_gets_the_cpu_name_that_llvm_gives_it() -> None:
    triple, cpu, _ = llvm.shared().host()
    if not triple.startswith("x86_64"):
        pytest.skip("only an x86-64 host is asked for its name; others say it in /proc/cpuinfo")
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert Target.of_device(info(**{**X86, "boot_id": boot_id})).cpu == cpu


def test_an_architecture_that_is_not_supported_is_refused() -> None:
    with pytest.raises(TargetError, match="the device board has the architecture 'ppc64le', which is not supported"):
        Target.of_device(info(machine="ppc64le"))


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("aarch64-linux-gnu", {}),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a53", {}),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a76", {"features": []}),
        ("armv7l-linux-gnueabihf", ARM32),
        ("llvm -mtriple=armv7l-linux-gnueabihf -mattr=+neon,+vfp4", ARM32),
        ("armv6-linux-gnueabihf", ARM32),
        ("armv7l-linux-gnueabihf", {"bits": 32, "float_abi": "hard"}),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell", {**X86, "features": [*HASWELL, "fsgsbase"]}),
        ("riscv64-linux-gnu", {"machine": "riscv64", "cpus": [], "features": list("imafdc")}),
    ],
)
def test_a_target_that_the_device_can_run_is_let_through(text: str, facts: dict[str, object]) -> None:
    Target.parse(text).check_runs_on(info(**facts))


@pytest.mark.parametrize(
    ("text", "facts", "said"),
    [
        ("x86_64-linux-gnu", {}, "needs the architecture x86_64, but the device board has aarch64"),
        ("armv7l-linux-gnueabihf", {}, "needs the architecture arm, .*'llvm -mtriple=aarch64-unknown-linux-gnu"),
        ("armv7l-linux-gnueabi", ARM32, "needs the float ABI soft, but the device board has hard"),
        ("aarch64-linux-musl", {}, "needs the C library musl, but the device board has gnu"),
        ("llvm -mtriple=aarch64-linux-gnu -mattr=+sve", {}, r"uses fullfp16, sve, .*\(cortex-a53\) does not have"),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a53 -mattr=+aes", {}, "uses aes, .*write '.*-mattr=-aes'"),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=neoverse-n1", {}, "uses lse, rdm, fullfp16, dotprod, rcpc, "),
        ("llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a53", ARM32, "uses v8, fp-armv8, crc, "),
        ("armv7l-linux-gnueabihf", {**ARM32, "machine": "armv6l", "features": ["vfp"]}, "uses v7, vfp3d16, "),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512", {**X86, "features": HASWELL}, "uses .*avx512f"),
        (
            "llvm -mtriple=riscv64-linux-gnu -mattr=+v",
            {"machine": "riscv64", "cpus": [], "features": list("imafdc")},
            "uses v, which the device board",
        ),
        ("i686-linux-gnu", {**X86, "bits": 32, "features": ["cx16"]}, "uses sse2, which the device board"),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a54", {}, "unknown CPU 'cortex-a54'"),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=znver33", {**X86, "features": HASWELL}, "unknown CPU 'znver33'"),
    ],
)
def test_a_target_that_the_device_cannot_run_is_refused(text: str, facts: dict[str, object], said: str) -> None:
    with pytest.raises(TargetError, match=said):
        Target.parse(text).check_runs_on(info(**facts))


def test_what_a_refusal_says_to_write_instead_runs() -> None:
    with pytest.raises(TargetError) as caught:
        Target.parse("llvm -mtriple=aarch64-linux-gnu -mcpu=neoverse-n1").check_runs_on(info())
    advice = str(caught.value).rpartition("write '")[2].rstrip("'")
    Target.parse(advice).check_runs_on(info())


@pytest.mark.parametrize("triple", ["aarch64", "armv7l", "x86_64", "i686", "riscv64"])
def test_llvm_knows_every_feature_of_the_tables(triple: str) -> None:
    target = Target.parse(triple)
    known = set(known_names(target.triple)[1])
    assert set(features.KNOWN[target.arch]) <= known


def test_llvm_knows_every_arm_cpu_of_the_table() -> None:
    known = {name for triple in ("aarch64", "armv7l") for name in known_names(Target.parse(triple).triple)[0]}
    assert set(features._ARM_PARTS.values()) <= known


@pytest.mark.parametrize("cpu", features._IMPLIED)
def test_no_cpu_implies_more_than_is_taken_away_where_a_device_lacks_it(cpu: str) -> None:
    bare = Target.parse(f"llvm -mtriple=aarch64-linux-gnu -mcpu={cpu}")
    enabled = llvm.shared().enabled(tuple(features.KNOWN["aarch64"]), bare.machine)
    assert enabled <= features._IMPLIED[cpu] | {"fp-armv8", "neon"}


def test_a_report_without_anything_in_it_gives_the_defaults() -> None:
    assert DeviceInfo.from_wire({}) == DeviceInfo()
    assert DeviceInfo.from_wire({"libc": None, "cpus": [], "cores": None, "newer": 1}) == DeviceInfo()


def test_i686_has_sse2_whatever_its_cpu_is() -> None:
    assert "+sse2" in Target.parse("llvm -mtriple=i686-linux-gnu -mcpu=pentium3").features
    with pytest.raises(TargetError, match="i686 without SSE2"):
        Target.parse("llvm -mtriple=i686-linux-gnu -mattr=-sse2")
