"""What disturbs timings is read from the files that Linux has for it, whichever of them there are."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_xdevice.disturbances import Conditions
from pytest_xdevice.runtime.conditions import conditions
from pytest_xdevice.runtime.conditions import throttled_since


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def board(root: Path) -> Path:
    """Write what a board says whose process is on core 1, of one allowed and one faster core."""
    write(root / "proc/loadavg", "3.50 1.00 0.50 2/100 4242")
    write(root / "proc/self/stat", "7 (a ) name) R " + " ".join(["0"] * 35) + " 1 0 0")
    for cpu, governor, current in ((0, "performance", 1800000), (1, "ondemand", 600000)):
        folder = root / f"sys/devices/system/cpu/cpu{cpu}"
        write(folder / "cpufreq/scaling_governor", governor)
        write(folder / "cpufreq/scaling_cur_freq", str(current))
        write(folder / "cpufreq/cpuinfo_max_freq", "1800000")
        write(folder / "thermal_throttle/core_throttle_count", str(3 + cpu))
    write(root / "sys/class/thermal/thermal_zone0/temp", "61250")
    write(root / "sys/class/thermal/thermal_zone1/temp", "0")
    return root


def test_a_board_that_tells_everything(tmp_path: Path) -> None:
    found = conditions(str(board(tmp_path)))
    assert found["load"] == 3.5
    assert found["governors"] == ["ondemand", "performance"]
    assert (found["cpu"], found["frequency"], found["max_frequency"]) == (1, 600_000_000, 1_800_000_000)
    assert (found["throttled"], found["temperature"], found["emulator"]) == (7, 61.25, "")


def test_a_board_that_tells_nothing(tmp_path: Path) -> None:
    found = conditions(str(tmp_path))
    assert {found[name] for name in ("load", "cpu", "frequency", "max_frequency", "throttled", "temperature")} == {None}
    assert (found["governors"], found["emulator"], found["uneven"]) == ([], "", False)
    assert Conditions.from_wire(found).causes() == {}


def test_files_with_something_else_in_them(tmp_path: Path) -> None:
    board(tmp_path)
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        path.write_bytes(b"\xff no number")
    found = conditions(str(tmp_path))
    assert {found[name] for name in ("load", "cpu", "frequency", "throttled", "temperature")} == {None}


def test_the_emulator_is_seen_behind_a_link_of_a_thread(tmp_path: Path) -> None:
    thread = tmp_path / f"proc/self/task/{os.getpid()}"
    thread.mkdir(parents=True)
    (thread / "exe").symlink_to("/usr/bin/qemu-aarch64-static")
    found = conditions(str(board(tmp_path)))
    assert found["emulator"] == "qemu-aarch64-static"
    assert [*Conditions.from_wire(dict(found, load=0.1)).causes()] == ["emulation"]


def test_throttling_is_counted_over_the_measurement(tmp_path: Path) -> None:
    before = conditions(str(board(tmp_path)))
    write(tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "5")
    found = throttled_since(before, conditions(str(tmp_path)))
    assert found["throttled"] == 2
    assert "2 times" in Conditions.from_wire(found).causes()["throttling"]
    assert throttled_since(dict(before, throttled=None), found)["throttled"] is None


def test_each_cause_is_told_where_it_matters() -> None:
    steady = Conditions(0.5, ("ondemand",), 0, 1_800_000_000, 1_800_000_000, 0, 50.0, "", 4)
    assert steady.causes() == {}
    worse = Conditions(9.0, ("ondemand",), 0, 600_000_000, 1_800_000_000, 0, 91.0, "", 4, None, True)
    causes = worse.causes()
    assert set(causes) == {"throttling", "frequency", "cores", "load"}
    assert "600 MHz of 1800 MHz (governor ondemand)" in causes["frequency"]
    assert "load of 9.0 on 4 cores" in causes["load"]


def test_this_machine() -> None:
    found = conditions()
    assert found["cpu"] in os.sched_getaffinity(0)
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["load"] >= 0
    assert found["emulator"] == ""
