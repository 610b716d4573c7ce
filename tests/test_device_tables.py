"""Named devices in pyproject.toml and xdevice.toml: keys, tags, variables, and on which line a mistake is."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import find_pyproject
from pytest_xdevice.config import read_named_devices
from pytest_xdevice.config import resolve_devices
from pytest_xdevice.device_tables import KEYS
from pytest_xdevice.errors import ConfigError
from pytest_xdevice.toml_lines import lines_of
from pytest_xdevice.toml_lines import tomllib

LAB = """
[devices.one]
address = "10.0.0.1:9090"
tags = ["rk3399", "gpu"]

[devices.two]
address = "10.0.0.2:9090"
tags = ["rk3399"]
"""


@pytest.fixture
def pyproject(tmp_path: Path) -> Path:
    return tmp_path / "pyproject.toml"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "xdevice.toml"


def names(*specs: str, pyproject: Path) -> list[str]:
    return [device.name for device in resolve_devices(specs, pyproject)]


def test_all_keys_are_read(pyproject: Path, own: Path) -> None:
    own.write_text(
        '[devices.a]\naddress = "ssh://pi@pi"\ntags = ["pi", "lab", "pi"]\npin = [4, 5]\ntimeout = 5\n'
        '[devices.a.env]\nPOCL_DEBUG = "1"\n'
    )
    assert resolve_devices(["a"], pyproject) == (
        DeviceConfig(
            "a", "ssh://pi@pi", tags=("pi", "lab"), env=(("POCL_DEBUG", "1"),), pin=(4, 5), timeout=5.0
        ),
    )  # fmt: skip


def test_a_tag_chooses_each_device_that_has_it_once(pyproject: Path, own: Path) -> None:
    own.write_text(LAB)
    assert names("tag:rk3399", pyproject=pyproject) == ["one", "two"]
    assert names("two", "tag:rk3399", "tag:gpu", "local", pyproject=pyproject) == ["two", "one", "local"]


def test_a_tag_that_nothing_has_is_told_with_those_there_are(pyproject: Path, own: Path) -> None:
    own.write_text(LAB)
    with pytest.raises(ConfigError, match=r"tag 'rk3398' \(did you mean 'rk3399'\?\); tags: gpu, rk3399"):
        names("tag:rk3398", pyproject=pyproject)
    own.write_text('[devices.one]\naddress = "local"')
    with pytest.raises(ConfigError, match="no entry has tags"):
        names("tag:rk3399", pyproject=pyproject)


def test_a_device_under_two_names_is_refused(pyproject: Path, own: Path) -> None:
    own.write_text(LAB)
    with pytest.raises(ConfigError, match=r"'one' and '10.0.0.1:9090' are one, at 10.0.0.1:9090.*leave out one"):
        names("one", "10.0.0.1:9090", pyproject=pyproject)


def test_both_files_count_and_a_name_in_both_is_told_with_both_lines(pyproject: Path, own: Path) -> None:
    own.write_text(LAB)
    pyproject.write_text('[tool.xdevice.devices.three]\naddress = "local"\n')
    assert names("three", "one", pyproject=pyproject) == ["three", "one"]
    pyproject.write_text('\n[tool.xdevice.devices.two]\naddress = "local"\n')
    with pytest.raises(ConfigError) as caught:
        names("one", pyproject=pyproject)
    assert str(caught.value) == (
        f"{own}:6: [devices.two]: 'two' names another device in {pyproject}:2; rename one of the two entries, "
        "or remove it"
    )


def test_a_file_that_is_named_must_be_there(pyproject: Path, own: Path, tmp_path: Path) -> None:
    other = tmp_path / "rack.toml"
    other.write_text('[devices.r1]\naddress = "local"')
    own.write_text(LAB)
    assert list(read_named_devices(pyproject, other)) == ["r1"]
    with pytest.raises(ConfigError, match=r"there is no file .*nothing\.toml"):
        read_named_devices(pyproject, tmp_path / "nothing.toml")


def test_a_folder_with_xdevice_toml_alone_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a" / "xdevice.toml").touch()
    (tmp_path / "pyproject.toml").touch()
    assert find_pyproject(inner) == tmp_path / "a" / "pyproject.toml"


def test_variables_are_filled_in(pyproject: Path, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOARD", "10.0.0.9")
    own.write_text("[devices.a]\naddress = '${BOARD}:9090'\ntags=['$BOARD']\nenv = { HERE = '$BOARD', PRICE = '$$5' }")
    (device,) = resolve_devices(["a"], pyproject)
    assert (device.address, device.tags, device.env) == (
        "10.0.0.9:9090",
        ("10.0.0.9",),
        (("HERE", "10.0.0.9"), ("PRICE", "$5")),
    )


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "[devices.a]\n\naddress = '$XDEVICE_UNSET:1'",
            3,
            "address: the environment variable XDEVICE_UNSET is not set",
        ),
        ("[devices.a]\naddress = 'local'\nenv.A = '$'", 3, "env: a '$' begins a variable"),
        ("[devices.a]\naddress = 'local'\ntag = ['b']", 3, "unknown key 'tag' (did you mean 'tags'?)"),
        ("[devices.a]\naddress = 'local'\ntags = 'b'", 3, "tags is a list of tags"),
        ("[devices.a]\naddress = 'local'\ntags = ['b c']", 3, "tags is a list of tags"),
        ("[devices.a]\naddress = 'local'\n[devices.a.env]\nA = 1", 4, "env: 'A' is a variable's name with a string"),
        ("[devices.a]\naddress = 'local'\npin = [1, 1]", 3, "pin is a list of different CPUs"),
        ("[devices.a]\naddress = 'local'\npin = [true]", 3, "pin is a list of different CPUs"),
        ("[devices.a]\naddress = 'local'\ntimeout = 0", 3, "timeout is a number of seconds above 0; got 0"),
        ("[devices]\nb = { address = 'local' }\na = { address = 'x' }", 3, "address: 'x' names no device"),
        ("device = 1", 1, "unknown key 'device' (did you mean 'devices'?)"),
    ],
)
def test_a_mistake_names_file_line_and_key(text: str, line: int, message: str, pyproject: Path, own: Path) -> None:
    own.write_text(text)
    with pytest.raises(ConfigError) as caught:
        resolve_devices(["a"], pyproject)
    assert str(caught.value).startswith(f"{own}:{line}: [")
    assert message in str(caught.value)


def test_lines_are_told_past_strings_and_arrays_of_several_lines() -> None:
    text = 'a = """\n[no.table]\nx = 1\n"""\n# b = 1\nb = [\n  1, # ]\n]\n[t."u.v"]\nc.d = { e = 1 }\n[[l]]\nf = 1\n'
    assert {".".join(keys): line for keys, line in lines_of(text).items()} == {
        "a": 1, "b": 6, "t": 9, "t.u.v": 9, "t.u.v.c": 10, "t.u.v.c.d": 10, "t.u.v.c.d.e": 10, "l": 11, "l.f": 12,
    }  # fmt: skip


@pytest.mark.parametrize(
    "entry",
    [
        "address = 'local'",
        "address = 'local'\ntags = ['a', 'b']\npin = [0]\ntimeout = 0.5\nenv = { A = '' }\ninsecure = true",
        "address = ' '",
        "address = 1",
        "target = 'x'",
        "address = 'local'\ntags = 'a'",
        "address = 'local'\ntags = ['']",
        "address = 'local'\nenv = { '1' = '' }",
        "address = 'local'\nenv = { A = 1 }",
        "address = 'local'\npin = []",
        "address = 'local'\npin = [1, 1]",
        "address = 'local'\npin = [-1]",
        "address = 'local'\ntimeout = '5'",
        "address = 'local'\ntimeout = 0",
        "address = 'local'\ninsecure = 'yes'",
        "address = 'local'\nnothing = 1",
    ],
)
def test_the_schema_for_editors_agrees_with_the_parser(entry: str, pyproject: Path, own: Path) -> None:
    own.write_text(f"[devices.a]\n{entry}\n")
    try:
        read_named_devices(pyproject)
        is_right = True
    except ConfigError:
        is_right = False
    validator = jsonschema.Draft202012Validator(schema())
    assert validator.is_valid(tomllib.loads(own.read_text())) == is_right


def test_the_schema_has_the_keys_of_the_parser() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert tuple(schema()["$defs"]["device"]["properties"]) == KEYS


def schema() -> dict[str, dict[str, dict[str, object]]]:
    text = resources.files("pytest_xdevice").joinpath("devices.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, dict[str, object]]] = json.loads(text)
    return loaded


def test_a_run_takes_devices_from_the_file_it_is_given(pytester: pytest.Pytester) -> None:
    pytester.makefile(
        ".toml",
        rack="[devices.a]\naddress = 'local'\ntags = ['x']\ntimeout = 7\nenv = { XDEVICE_SEEN = 'yes' }\n"
        "[devices.b]\naddress = 'popen'\ntags = ['x']\n",
    )
    pytester.makepyfile(
        """
        from pathlib import Path

        def test_it(xdevice, xdevice_session):
            xdevice.array([1.0])
            is_a = xdevice.name == "a"
            assert xdevice_session.settings.timeout == (7 if is_a else 60)
            session = xdevice_session._control.request("pid")
            children = Path(f"/proc/{session}/task/{session}/children").read_text().split()
            environments = [Path(f"/proc/{child}/environ").read_bytes() for child in children]
            assert any(b"XDEVICE_SEEN=yes" in one for one in environments) == is_a
        """
    )
    result = pytester.runpytest_subprocess("--xdevice-config=rack.toml", "--xdevice=tag:x", "-v")
    result.stdout.fnmatch_lines(["*::test_it[[]a-cpu[]] PASSED*", "*::test_it[[]b-cpu[]] PASSED*"])
    result = pytester.runpytest_subprocess("-o", "xdevice_config=rack.toml", "--xdevice=tag:y")
    result.stderr.fnmatch_lines(["ERROR: xdevice: no configured device has the tag 'y'*; tags: x"])
