"""The servers that tests start, and the option that turns skips into failures."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boards.board import REPOSITORY
from tests.boards.processes import end
from tests.boards.processes import still_running
from tests.harness.interpreters import find_python
from tests.harness.server import DeviceServer
from tests.harness.service import Service
from tests.harness.service import ServiceError
from tests.harness.sshd import Sshd

READY_AND_WAIT = "import signal; print('ready', flush=True); signal.pause()"
DETACH = (
    "import subprocess, sys; wait = [sys.executable, '-c', 'import signal; signal.pause()']; "
    "print(subprocess.Popen(wait, start_new_session=True).pid, flush=True); "
)


class TestService:
    def test_a_service_ends_with_the_block(self) -> None:
        with Service([sys.executable, "-c", READY_AND_WAIT]) as service:
            assert service.await_line("ready") == "ready\n"
        assert service.process.returncode == -signal.SIGTERM

    def test_a_service_that_ends_early_says_what_it_printed(self) -> None:
        command = [sys.executable, "-c", "print('no port'); raise SystemExit(1)"]
        with Service(command) as service, pytest.raises(ServiceError, match="did not print 'ready', but: no port"):
            service.await_line("ready")

    @pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv (util-linux) to bind processes with")
    def test_a_service_dies_with_a_test_run_that_is_killed(self) -> None:
        program = (
            "import os, signal; from tests.harness.service import Service\n"
            f"service = Service([{sys.executable!r}, '-c', {READY_AND_WAIT!r}]); service.await_line('ready')\n"
            "print(service.process.pid, flush=True); signal.pause()"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=REPOSITORY) as run:
            assert run.stdout is not None
            pid = int(run.stdout.readline())
            run.kill()
        assert still_running([pid]) == []

    def test_a_process_left_behind_is_named_and_killed(self) -> None:
        service = Service([sys.executable, "-c", DETACH + READY_AND_WAIT])
        left = int(service.await_line("").strip())
        service.await_line("ready")
        with pytest.raises(ServiceError, match=f"there still ran {left}: "):
            service.stop(limit=0.2)
        assert end(left, limit=0)


class TestServers:
    def test_the_ssh_server_runs_commands_with_this_python(self, sshd: Sshd) -> None:
        command = ["ssh", "-F", str(sshd.config), "xdevice-sshd", "python3 -c 'import sys; print(sys.prefix)'"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert Path(done.stdout.strip()) == Path(sys.prefix)

    def test_the_ssh_server_is_not_the_users(self, sshd: Sshd) -> None:
        assert Path.home() not in sshd.config.parents
        shown = subprocess.run(["ssh", "-G", "-F", sshd.config, "xdevice-sshd"], capture_output=True, text=True).stdout
        assert f"identityfile {sshd.config.parent}/user_key\n" in shown
        assert "/.ssh/" not in shown.replace("~/.ssh/", "")

    @pytest.mark.parametrize("fixture", ["server", "oldest_server"])
    def test_the_device_server_listens_on_the_port_that_it_prints(
        self, fixture: str, request: pytest.FixtureRequest
    ) -> None:
        server: DeviceServer = request.getfixturevalue(fixture)
        host, port = server.address.split(":")
        with socket.create_connection((host, int(port)), timeout=5.0):
            assert server.service.output.startswith("bind to 127.0.0.1:")


def test_a_python_that_does_not_exist_is_not_found() -> None:
    assert find_python((3, 2)) is None


def test_this_python_is_found_by_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    version = sys.version_info[:2]
    (tmp_path / f"python{version[0]}.{version[1]}").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_python((version[0], version[1])) == str(tmp_path / f"python{version[0]}.{version[1]}")


class TestRequireEverything:
    @pytest.fixture(autouse=True)
    def project(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("XDEVICE_REQUIRE_ALL", raising=False)
        monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
        pytester.makeconftest((REPOSITORY / "conftest.py").read_text())
        pytester.makepyfile(
            test_a="""
                import pytest
                from tests.harness.requirement import unavailable

                def test_runs():
                    pass

                def test_lacks(pytestconfig):
                    unavailable(pytestconfig, "no such board")

                @pytest.mark.skip(reason="not here")
                def test_is_marked():
                    pass

                @pytest.mark.xfail(strict=True)
                def test_is_expected_to_fail():
                    assert False
            """,
            test_b="import pytest; pytest.importorskip('no_such_module')",
        )

    def test_without_it_a_skip_says_what_is_missing(self, pytester: pytest.Pytester) -> None:
        result = pytester.runpytest_subprocess("-rs")
        result.assert_outcomes(passed=1, skipped=3, xfailed=1)
        result.stdout.fnmatch_lines(["*no such board*"])

    def test_with_it_nothing_is_skipped(self, pytester: pytest.Pytester) -> None:
        result = pytester.runpytest_subprocess("--require-everything", "-rf", "--continue-on-collection-errors")
        result.assert_outcomes(passed=1, failed=1, errors=2, xfailed=1)
        for reason in ("no such board", "not here", "no_such_module"):
            result.stdout.fnmatch_lines([f"--require-everything: *{reason}*"])

    def test_the_environment_asks_for_it_too(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDEVICE_REQUIRE_ALL", "1")
        assert pytester.runpytest_subprocess("test_a.py").ret == pytest.ExitCode.TESTS_FAILED
