"""The workflows of examples/ci: what they ask for, and their shell lines, run here on a server that has a token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.harness.server import DeviceServer

WORKFLOWS = Path(__file__).parents[1] / "examples" / "ci"
TESTS = """
import numpy as np
from pytest_xdevice import In, Out, dim, f32, kernel, parallel

n = dim("n")


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i] + 1.0


def test_values(xdevice):
    a = np.arange(5, dtype=np.float32)
    xdevice.assert_close(xdevice.run(add_one, a), a + 1)


def test_speed(xbenchmark):
    a = np.zeros(1000, np.float32)
    xbenchmark(add_one, a, np.empty_like(a), rounds=5)
"""


def github() -> dict[str, Any]:
    """Return the only job of the workflow for GitHub."""
    workflow = yaml.safe_load((WORKFLOWS / "github.yml").read_text(encoding="utf-8"))
    # YAML 1.1 reads the key `on` as true.
    assert "pull_request" not in workflow[True]
    assert "pull_request_target" not in workflow[True]
    (job,) = workflow["jobs"].values()
    return dict(job)


def gitlab() -> dict[str, Any]:
    """Return the only job of the workflow for GitLab."""
    (job,) = yaml.safe_load((WORKFLOWS / "gitlab.yml").read_text(encoding="utf-8")).values()
    return dict(job)


def github_script() -> str:
    (script,) = [step["run"] for step in github()["steps"] if step.get("name") == "Test"]
    return str(script)


def gitlab_script() -> str:
    return "\n".join(gitlab()["script"])


def run(script: str, folder: Path, device: str, token: str) -> subprocess.CompletedProcess[str]:
    """Run shell lines as a step of CI does: in bash, ended by the first failure."""
    (folder / "test_device.py").write_text(TESTS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "XDEVICE": device, "XDEVICE_TOKEN": token}
    environment["GITHUB_STEP_SUMMARY"] = str(folder / "summary.md")
    command = ["bash", "-eo", "pipefail", "-c", script]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("script", [github_script, gitlab_script], ids=["github", "gitlab"])
def test_the_step_tests_and_leaves_all_reports(server: DeviceServer, tmp_path: Path, script: Any) -> None:
    token = server.token_file.read_text(encoding="utf-8").strip()
    result = run(script(), tmp_path, server.address, token)
    assert result.returncode == 0, result.stdout + result.stderr
    cases = list(ElementTree.parse(tmp_path / "out" / "junit.xml").iter("testcase"))
    assert len(cases) == 2
    assert {case.find("failure") for case in cases} == {None}
    # What github-action-benchmark reads of pytest-benchmark's file.
    (benchmark,) = json.loads((tmp_path / "out" / "benchmark.json").read_text(encoding="utf-8"))["benchmarks"]
    assert benchmark["fullname"].startswith("test_device.py::test_speed[")
    assert set(benchmark["stats"]) >= {"mean", "ops", "stddev", "rounds"}
    if script is github_script:
        (figure,) = json.loads((tmp_path / "out" / "figures.benchmark.json").read_text(encoding="utf-8"))
        assert (figure["name"], figure["unit"]) == (benchmark["fullname"], "ns")
        assert figure["value"] == pytest.approx(benchmark["stats"]["median"] * 1e9)
    assert (tmp_path / "out" / "report.html").stat().st_size
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["counts"] == {"passed": 2}
    assert "xdevice: 2 passed" in (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert token not in result.stdout + result.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]


def test_a_wrong_token_fails_the_step(server: DeviceServer, tmp_path: Path) -> None:
    result = run(github_script(), tmp_path, server.address, "not the token")
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"xdevice {server.address}" in result.stdout + result.stderr


def test_the_token_comes_from_a_secret_and_the_files_are_kept() -> None:
    job = github()
    assert job["env"]["XDEVICE_TOKEN"] == "${{ secrets.XDEVICE_TOKEN }}"
    used = {step["uses"].split("@")[0]: step["with"] for step in job["steps"] if "with" in step}
    assert used["actions/upload-artifact"]["path"] == "out/"
    assert used["benchmark-action/github-action-benchmark"]["tool"] == "customSmallerIsBetter"
    assert used["benchmark-action/github-action-benchmark"]["output-file-path"] == "out/figures.benchmark.json"
    assert gitlab()["artifacts"]["reports"]["junit"] == "out/junit.xml"
    assert "variables" not in gitlab()
