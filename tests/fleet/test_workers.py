"""Workers of pytest-xdist on devices: one session at a time on each, everybody has a turn, nobody waits for ever."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.conftest import Fleet
from tests.fleet.conftest import NAMES

# A device that two have at a time is seen by the lock that each test takes in its name.
ALONE = """
import contextlib
import fcntl
import os
import signal
import numpy as np
import pytest
from kernels import add_one

@contextlib.contextmanager
def alone(device):
    with open(f"{shared}/{{device.name}}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
        fcntl.flock(lock, fcntl.LOCK_UN)

def work(device, size):
    with alone(device):
        assert device.run(add_one, np.zeros(size, np.float32)).tolist() == [1] * size
"""
FOUR = """
@pytest.mark.xdist_group("a")
@pytest.mark.parametrize("size", [1, 2])
class TestOne:
    def test_add(self, xdevice, size): work(xdevice, size)

@pytest.mark.xdist_group("b")
@pytest.mark.parametrize("size", [1, 2])
class TestTwo:
    def test_add(self, xdevice, size): work(xdevice, size)
"""


@pytest.fixture
def workers(fleet: Fleet, add_one: pytest.Pytester, tmp_path: Path) -> Fleet:
    """Return the devices, with a module ``alone`` that sees two tests on one of them."""
    add_one.makepyfile(alone=ALONE.format(shared=tmp_path))
    return fleet


@pytest.mark.parametrize("scheduler", ["load", "worksteal", "loadscope", "loadgroup"])
def test_every_way_of_xdist_to_share_tests_out(workers: Fleet, add_one: pytest.Pytester, scheduler: str) -> None:
    add_one.makepyfile("from alone import *" + FOUR)
    result = add_one.runpytest("-v", "-n3", f"--dist={scheduler}", "--xdevice-dist=load", *workers.options)
    result.assert_outcomes(passed=4)
    assert sum("PASSED on rack-" in line for line in result.outlines) == 4
    result.stdout.fnmatch_lines(
        ["xdevice: 3 workers for 2 devices: a device has one worker at a time, the others wait*"]
    )


def test_workers_without_a_device_wait_for_their_turn(workers: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile("from alone import *" + FOUR)
    result = add_one.runpytest("-n4", "--xdevice-dist=load", "--xdevice=rack-1")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["xdevice: 4 workers for 1 device: *"])


def test_each_device_has_every_test_and_no_two_workers_wait_for_each_other(
    workers: Fleet, add_one: pytest.Pytester
) -> None:
    add_one.makepyfile("from alone import *" + FOUR)
    reports = ["--xdevice-report=run.md", "--xdevice-report=run.html"]
    result = add_one.runpytest("-v", "-n2", *reports, *workers.options)
    result.assert_outcomes(passed=8)
    pairs = {tuple(re.findall(r"^\[(gw\d)\].*PASSED.*\[(rack-\d)-", line)) for line in result.outlines} - {()}
    assert len(pairs) == 2  # a worker for each device
    markdown, page = ((add_one.path / name).read_text() for name in ("run.md", "run.html"))
    assert "| device | tests | failures | crashes | used | waited |" in markdown
    for name in NAMES:
        assert re.search(rf"\| {name} \| 4 \| 0 \| 0 \| ", markdown)
    assert "waited" in page


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)"])
@pytest.mark.parametrize(("way", "devices"), [("load", ["rack-1"]), ("each", ["rack-1", "rack-2"])])
def test_a_worker_that_ends_within_a_test_gives_its_device_back(
    workers: Fleet, add_one: pytest.Pytester, way: str, devices: list[str], end: str
) -> None:
    add_one.makepyfile(
        "from alone import *"
        + FOUR
        + f"""
def test_dies(xdevice):
    with alone(xdevice):
        {end}

def test_after(xdevice): work(xdevice, 3)
"""
    )
    result = add_one.runpytest("-n2", f"--xdevice-dist={way}", *(f"--xdevice={device}" for device in devices))
    result.assert_outcomes(passed=5 * len(devices), failed=len(devices))
    result.stdout.fnmatch_lines(["*worker 'gw?' crashed while running '*test_dies*'"])
    workers.open(0).close()


def test_requirements_hold_among_workers(workers: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import pytest
        from alone import *

        @pytest.mark.parametrize("size", [1, 2])
        @pytest.mark.xdevice(name="rack-1")
        def test_first(xdevice, size):
            assert xdevice.name == "rack-1"
            work(xdevice, size)

        @pytest.mark.parametrize("size", [1, 2])
        @pytest.mark.xdevice(name="rack-2")
        def test_second(xdevice, size):
            assert xdevice.name == "rack-2"
            work(xdevice, size)
        """
    )
    add_one.runpytest("-n2", "--xdevice-dist=load", *workers.options).assert_outcomes(passed=4)


def test_two_runs_share_the_devices(workers: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile("from alone import *" + FOUR)
    command = [sys.executable, "-m", "pytest", "--xdevice-dist=load", *workers.options]
    runs = [
        add_one.popen([*command, *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) for more in (["-n2"], [])
    ]
    for run in runs:
        said, _ = run.communicate(timeout=120)
        assert run.returncode == 0, said.decode()
        assert b"4 passed" in said


def test_a_worker_that_finds_kernels_compiled_starts_no_compiler(workers: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import os
        from pathlib import Path
        from alone import *

        def test_children(xdevice):
            work(xdevice, 1)
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            commands = [Path(f"/proc/{child}/cmdline").read_text() for child in children]
            assert not [command for command in commands if "toolchain.worker" in command]
        """
    )
    options = ["--xdevice-dist=load", *workers.options]
    add_one.runpytest_subprocess(*options).assert_outcomes(failed=1)  # a single process has one at hand
    add_one.runpytest_subprocess("-n2", *options).assert_outcomes(passed=1)


def test_a_worker_with_other_tests_first_lets_others_have_the_device(
    workers: Fleet, add_one: pytest.Pytester, tmp_path: Path
) -> None:
    add_one.makepyfile(
        f"""
        import os
        import time

        def test_of_the_host():  # two tests for each of two workers: the first one has these
            end = time.monotonic() + 30
            while not os.path.exists({str(tmp_path / "done")!r}):
                assert time.monotonic() < end
                time.sleep(0.01)

        def test_of_the_host_too(): pass

        def test_of_the_device(xdevice): pass

        def test_of_the_device_too(xdevice):
            open({str(tmp_path / "done")!r}, "w").close()

        def test_last(xdevice): pass
        """
    )
    add_one.runpytest("-n2", "--xdevice-dist=load", "--xdevice=rack-1").assert_outcomes(passed=5)


def test_nothing_of_a_run_stays(
    workers: Fleet, add_one: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    add_one.makepyfile("def test_name(xdevice): pass")
    add_one.runpytest("-n1", *workers.options).assert_outcomes(passed=2)
    assert not list(folder.glob("xdevice-*"))
