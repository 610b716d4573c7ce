"""Who counts the processes that are ended for want of memory, by what kind of control groups there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_xdevice.runtime.oom import OomWatch

EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill {}\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
GROUPS = {
    "version 2": ("0::/board\n", "sys/fs/cgroup/board/memory.events", EVENTS, "memory.max"),
    "version 2 in a container": ("0::/outside\n", "sys/fs/cgroup/memory.events", EVENTS, "memory.max"),
    "version 1": (
        "9:pids:/\n4:cpu,memory:/board\n0::/\n", "sys/fs/cgroup/memory/board/memory.oom_control", CONTROL,
        "memory.limit_in_bytes",
    ),
    "version 1 in a container": (
        "4:memory:/docker/1\n", "sys/fs/cgroup/memory/memory.oom_control", CONTROL, "memory.limit_in_bytes"
    ),
}  # fmt: skip


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(("limit", "told"), [("67108864", 64 << 20), ("max", None), (str(0x7FFFFFFFFFFFF000), None)])
@pytest.mark.parametrize("kind", GROUPS)
def test_a_control_group_tells(kind: str, limit: str, told: int | None, tmp_path: Path) -> None:
    groups, events, text, name = GROUPS[kind]
    write(tmp_path / "proc/self/cgroup", groups)
    write(tmp_path / events, text.format(1))
    write((tmp_path / events).parent / name, limit)
    watch = OomWatch(str(tmp_path))
    assert watch.killed() is None
    write(tmp_path / events, text.format(2))
    assert watch.killed() == {"limit": told}
    assert watch.killed() is None


def test_without_one_the_whole_device_tells(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "proc/vmstat", "nr_free_pages 1\noom_kill 4\ndrop_pagecache 0\n")
    watch = OomWatch(str(tmp_path))
    assert watch.killed() is None
    write(tmp_path / "proc/vmstat", "nr_free_pages 1\noom_kill 5\ndrop_pagecache 0\n")
    assert watch.killed() == {"limit": None}


def test_a_device_that_counts_nothing(tmp_path: Path) -> None:
    assert OomWatch(str(tmp_path)).killed() is None
