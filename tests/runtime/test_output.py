"""The files that workers print to: read in part where they are long, and kept from growing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_xdevice.runtime import output
from pytest_xdevice.runtime.output import LIMIT
from pytest_xdevice.runtime.output import open_log
from pytest_xdevice.runtime.output import read_bounded
from pytest_xdevice.runtime.output import Trimmer
from tests.harness.waiting import wait_until


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_what_fits_is_read_whole(tmp_path: Path, size: int) -> None:
    log = open_log(str(tmp_path / "log"))
    os.write(log, b"x" * size)
    assert read_bounded(log) == "x" * size
    os.close(log)


def test_of_more_the_first_and_the_last_part_are_read(tmp_path: Path) -> None:
    log = open_log(str(tmp_path / "log"))
    os.write(log, b"first" + b"x" * LIMIT + b"last")
    text = read_bounded(log)
    assert text.startswith("firstx")
    assert text.endswith("xlast")
    assert "\n[9 bytes are left out here]\n" in text
    os.close(log)


def test_a_file_that_grows_gives_its_middle_back_and_loses_nothing_of_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_LARGE_FILE", 2 * LIMIT)
    monkeypatch.setattr(output, "_LOOK_SECONDS", 0.001)
    log = open_log(str(tmp_path / "log"))
    printer = os.dup(log)  # as the worker has it
    trimmer = Trimmer(log)
    trimmer.start()
    printed = 0
    for number in range(200):
        printed += os.write(printer, f"line {number}\n".encode() * 500)
    wait_until(lambda: os.fstat(printer).st_blocks * 512 <= 2 * LIMIT)
    printed += os.write(printer, b"the end")
    text = trimmer.stop()
    assert text.startswith("line 0\n")
    assert text.endswith("line 199\nthe end")
    assert f"\n[{printed - LIMIT} bytes are left out here]\n" in text
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(log)
    os.close(printer)


def test_without_holes_in_files_one_is_cut_and_written_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_take_middle", lambda _descriptor, _size: False)
    monkeypatch.setattr(output, "_LARGE_FILE", 2 * LIMIT)
    monkeypatch.setattr(output, "_LOOK_SECONDS", 0.001)
    log = open_log(str(tmp_path / "log"))
    printer = os.dup(log)
    trimmer = Trimmer(log)
    trimmer.start()
    os.write(printer, b"first" + b"x" * 4 * LIMIT)
    wait_until(lambda: os.fstat(printer).st_size <= 2 * LIMIT)
    os.write(printer, b"the end")
    text = trimmer.stop()
    assert text.startswith("first")
    assert text.endswith("xthe end")
    os.close(printer)
