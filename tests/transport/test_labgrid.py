"""Devices that a labgrid coordinator lends, with a real coordinator and exporter, and sshd as what a place leads to."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pytest_xdevice import ConfigError
from pytest_xdevice import DeviceUnreachable
from pytest_xdevice.cli import main
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.config import split_environment
from pytest_xdevice.remote import Session
from pytest_xdevice.transport.spec import parse
from pytest_xdevice.transport.spec import Spec
from tests.boards.processes import still_running
from tests.boards.processes import with_variable
from tests.harness.hidden import Hidden
from tests.harness.hidden import write_client_config
from tests.harness.labgrid import Labgrid
from tests.harness.labgrid import running_labgrid
from tests.harness.labgrid import STRANGER
from tests.harness.requirement import unavailable
from tests.harness.sshd import Sshd
from tests.transport.killed_host import killed_host

pytestmark = pytest.mark.usefixtures("compiler")

OWNER = "runner/ci"


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest, sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labgrid]:
    try:
        import labgrid  # noqa: F401 - whether it is there
    except ImportError:
        unavailable(request.config, "labgrid is not installed: pip install 'pytest-xdevice[labgrid]'")
    board = {"address": "127.0.0.1", "username": sshd.user, "port": sshd.port}
    resources = {
        "one": {"NetworkService": board},
        "off": {"NetworkService": {**board, "port": 1}},
        "twin": {"NetworkService": board, "other": {"cls": "NetworkService", **board}},
        "bare": {"RawNetworkInterface": {"ifname": "lo"}},
    }
    places: dict[str, dict[str, object]] = {
        group: {"match": f"rack/{group}/*", "tags": {"soc": "rk3399", "lab": group}} for group in resources
    }
    with running_labgrid(tmp_path_factory.mktemp("labgrid"), resources, places) as lab:
        yield lab


@pytest.fixture
def lab(running: Labgrid, sshd: Sshd, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Labgrid]:
    """Return the coordinator, at which this process is `OWNER`; see that afterwards nothing of it is left anywhere."""
    monkeypatch.setenv("LG_COORDINATOR", running.coordinator)
    monkeypatch.setenv("LG_HOSTNAME", OWNER.split("/")[0])
    monkeypatch.setenv("LG_USERNAME", OWNER.split("/")[1])
    monkeypatch.setenv("XDEVICE_SSH_CONFIG", str(sshd.config))
    yield running
    started_here = [pid for pid in with_variable("TMPDIR", str(folder)) if pid != os.getpid()]
    assert not still_running(started_here)
    assert running.owners() == {}


def open_session(address: str, progress: Callable[[str], None] | None = None, **settings: Any) -> Session:
    return Session.open(DeviceConfig("device", address), Settings(**settings), progress=progress)


class Applicant(threading.Thread):
    """Somebody of the same name who wants a place; `waits` is set when it waits in line."""

    def __init__(self, address: str, order: list[str]) -> None:
        super().__init__()
        self._address = address
        self._order = order
        self.waits = threading.Event()
        self.told: list[str] = []

    def run(self) -> None:
        with closing(open_session(self._address, self._progress, lease_timeout=60)):
            self._order.append(self._address)

    def _progress(self, text: str) -> None:
        self.told.append(text)
        self.waits.set()


class TestWhatWorks:
    @pytest.mark.parametrize("address", ["labgrid:one", "labgrid:one-alias", "labgrid:soc=rk3399,lab=one"])
    def test_a_place_is_acquired_used_and_given_back(self, lab: Labgrid, address: str) -> None:
        with closing(open_session(address)) as session:
            assert lab.owners() == {"one": OWNER}
            assert session.remote(answer) == 42

    def test_who_waits_is_told_for_whom_and_the_higher_priority_comes_first(self, lab: Labgrid) -> None:
        lab.client("-p", "one", "acquire")
        order: list[str] = []
        addresses = ["labgrid:one", "labgrid:lab=one?priority=1.5"]
        applicants = [Applicant(address, order) for address in addresses]
        for applicant in applicants:
            applicant.start()
            assert applicant.waits.wait(30)
        lab.client("-p", "one", "release")
        for applicant in applicants:
            applicant.join(60)
        assert order == addresses[::-1]
        told = applicants[0].told[0]
        assert told.startswith(f"labgrid:one: waiting for the device, which {STRANGER} holds since ")
        assert told.endswith("(0 ahead)")

    def test_a_place_that_somebody_takes_away_is_theirs(self, lab: Labgrid) -> None:
        with closing(open_session("labgrid:one")):
            lab.client("-p", "one", "release", "--kick")
            lab.client("-p", "one", "acquire")
        assert lab.owners() == {"one": STRANGER}
        lab.client("-p", "one", "release")

    def test_a_device_that_only_its_exporter_reaches(
        self, hidden: Hidden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = {socket.getfqdn(): (hidden.door, hidden.gateway)}  # what an isolated exporter names
        config = write_client_config(tmp_path / "config", **proxy, **{"127.0.0.1": (hidden.board.port, hidden.board)})
        monkeypatch.setenv("XDEVICE_SSH_CONFIG", str(config))
        board = {"address": "127.0.0.1", "username": hidden.board.user, "port": hidden.board.port}
        places: dict[str, dict[str, object]] = {"one": {"match": "rack/one/*", "tags": {}}}
        with running_labgrid(tmp_path, {"one": {"NetworkService": board}}, places, "--isolated") as lab:
            monkeypatch.setenv("LG_COORDINATOR", lab.coordinator)
            with closing(open_session("labgrid:one")) as session:
                assert session.remote(answer) == 42

    def test_who_and_release(self, lab: Labgrid, capsys: pytest.CaptureFixture[str]) -> None:
        lab.client("-p", "one", "acquire")
        assert main(["who", "labgrid:one"]) == 0
        assert f"labgrid:one: held by {STRANGER} since " in capsys.readouterr().out
        assert main(["release", "labgrid:lab=one", "--force"]) == 0
        assert f"labgrid:lab=one: taken from {STRANGER}" in capsys.readouterr().out
        assert main(["who", "labgrid:one"]) == 0
        assert "labgrid:one: free" in capsys.readouterr().out

    def test_a_run_with_a_named_device_beside_the_plugin_of_labgrid(
        self, lab: Labgrid, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PYTEST_ADDOPTS")
        pytester.makefile(".toml", xdevice="[devices.rock]\naddress = 'labgrid:soc=rk3399,lab=one'\n")
        pytester.makepyfile("def test_it(xdevice_session): assert xdevice_session.remote(answer) == 42\n\n" + ANSWER)
        result = pytester.runpytest_subprocess("--xdevice=rock", "-Werror")
        result.stdout.fnmatch_lines(["plugins: *labgrid*"])
        result.assert_outcomes(passed=1)


class TestWhatIsLeft:  # the fixture looks
    def test_nothing_of_a_host_that_is_killed(self, lab: Labgrid) -> None:
        killed_host("labgrid:one", signal.SIGKILL)

    def test_nothing_of_one_that_gives_up_waiting(self, lab: Labgrid) -> None:
        lab.client("-p", "one", "acquire")
        with pytest.raises(
            DeviceUnreachable, match=rf"labgrid:one: not free within 0.1 s: {STRANGER} since .* holds it"
        ):
            open_session("labgrid:one", lease_timeout=0.1)
        lab.client("-p", "one", "release")


class TestWhatIsSaid:
    @pytest.mark.parametrize(
        ("address", "message"),
        [
            ("labgrid:won", "the labgrid coordinator has no place won; there are: bare, off, one, twin"),
            ("labgrid:soc=rk3588", "no labgrid place has soc=rk3588; there are: lab=bare, .*soc=rk3399"),
            ("labgrid:bare", "the labgrid place bare has no NetworkService, by which a device is reached: see that"),
            (
                "labgrid:twin",
                "the labgrid place twin has several NetworkServices, and one is needed: Netw.*, other",
            ),
            ("labgrid:off", r"the device of the labgrid place off: ssh://.*: Connection refused.*try it by hand: ssh"),
        ],
    )
    def test_a_place_that_is_of_no_use(self, lab: Labgrid, address: str, message: str) -> None:
        with pytest.raises(DeviceUnreachable, match=message):
            open_session(address)

    def test_tags_that_stand_for_several_places_have_no_one_holder(
        self, lab: Labgrid, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["who", "labgrid:soc=rk3399"]) == 1
        assert (
            "soc=rk3399 stands for several labgrid places, and one is needed: bare, off, one" in capsys.readouterr().err
        )

    def test_the_doctor_tells_the_place_from_its_device(self, lab: Labgrid, capsys: pytest.CaptureFixture[str]) -> None:
        for address, expected in {
            "labgrid:won": [("place", "failed")],
            "labgrid:off": [("place", "ok"), ("network", "failed")],
        }.items():
            assert main(["doctor", address, "--json"]) == 1
            steps = json.loads(capsys.readouterr().out)["steps"]
            _, *steps = [step for step in steps if step["part"] == "device"]
            assert [(step["name"], step["state"]) for step in steps] == expected

    def test_a_coordinator_that_is_away(self, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
        pytest.importorskip("labgrid")
        monkeypatch.setenv("LG_COORDINATOR", "127.0.0.1:1")
        pytester.makepyfile("def test_it(xdevice): pass")
        result = pytester.runpytest_subprocess("--xdevice=labgrid:one", "--collect-only")  # which contacts nobody
        assert result.ret == pytest.ExitCode.OK
        result = pytester.runpytest_subprocess("--xdevice=labgrid:one")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            [
                "ERROR: xdevice labgrid:one: no labgrid coordinator answers at 127.0.0.1:1: Connection refused. Start "
                "labgrid-coordinator there, or name another in LG_COORDINATOR (host:port)"
            ]
        )

    def test_a_coordinator_whose_name_nobody_knows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("labgrid")
        monkeypatch.setenv("LG_COORDINATOR", "nowhere.invalid:20408")
        with pytest.raises(DeviceUnreachable, match=r"answers at nowhere\.invalid:20408: [\w ]+\. Start labgrid-coord"):
            open_session("labgrid:one")

    def test_labgrid_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(DeviceUnreachable, match=r'labgrid is not installed on this host: pip install "pytest-x'):
            open_session("labgrid:one")


ANSWER = "def answer():\n    return 42\n"


def answer() -> int:
    return 42


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("labgrid:rack/1", None),
        ("labgrid:rack-1", Spec("labgrid", "rack-1")),
        ("labgrid:rack-1?priority=2", Spec("labgrid", "rack-1", priority=2.0)),
        ("labgrid:soc=rk3399", Spec("labgrid", tags=(("soc", "rk3399"),))),
        ("labgrid:soc=a,lab=b", Spec("labgrid", tags=(("soc", "a"), ("lab", "b")))),
        ("labgrid:", None),
        ("labgrid:a,b", None),
        ("labgrid:a=", None),
        ("labgrid:one?priority=high", None),
    ],
)
def test_specifications(text: str, spec: Spec | None) -> None:
    if spec is not None:
        assert parse(text) == spec
        return
    with pytest.raises(ConfigError, match=r"names no labgrid place: write labgrid:PLACE|is no priority"):
        parse(text)


def test_tags_in_the_environment() -> None:
    assert split_environment("labgrid:a=b,c=d local,pi") == ["labgrid:a=b,c=d", "local", "pi"]
