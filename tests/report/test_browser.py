"""The page in a browser without a screen: no error on its console, tables that sort and filter, nothing taken over."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_xdevice.report.page import page
from pytest_xdevice.report.run import RunResult
from pytest_xdevice.report.run import TestResult
from tests.harness.requirement import unavailable

from .runs import made_up_run
from .runs import timing

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--enable-logging=stderr", "--dump-dom",
)  # fmt: skip
# Clicks and types like a person, and leaves what it saw in the page.
STEPS = """
const seen = {title: document.title, figures: document.querySelectorAll("figure svg path").length};
const rows = (id) => Array.from(document.querySelector("#" + id + " tbody").rows);
const shown = (id) => rows(id).filter((row) => row.offsetParent !== null).length;
const head = Array.from(document.querySelectorAll("#timings th button")).find((each) => each.textContent === "median");
const medians = () => rows("timings").map((row) => Number(row.cells[3].dataset.value));
seen.narrow = Array.from(document.querySelectorAll("th")).filter(
  (each) => each.firstChild.offsetWidth < each.clientWidth - 1).length;
head.click(); seen.up = medians();
head.click(); seen.down = medians();
// A column in which some have no figure: they stay at the end.
const heads = Array.from(document.querySelectorAll("#baseline th button"));
const before = heads.find((each) => each.textContent === "before");
const known = () => rows("baseline").map((row) => row.cells[6].textContent);
before.click(); seen.knownUp = known();
before.click(); seen.knownDown = known();
seen.sections = Array.from(document.querySelectorAll("main > section")).map((section) => section.id);
seen.roofline = document.querySelector("#roofline figure svg").getAttribute("aria-label");
const words = Array.from(document.querySelectorAll("#roofline svg text, #baseline svg text"));
seen.drawn = words.map((each) => each.textContent);
seen.all = shown("tests");
const choice = document.querySelector("#tests select");
choice.value = "skipped"; choice.dispatchEvent(new Event("change")); seen.skipped = shown("tests");
choice.value = ""; choice.dispatchEvent(new Event("change"));
const search = document.querySelector("#tests input");
search.value = "XPASSED"; search.dispatchEvent(new Event("input")); seen.found = shown("tests");
seen.told = document.querySelector("#tests output").textContent;
seen.width = innerWidth;
seen.wide = document.documentElement.scrollWidth > innerWidth;
const style = getComputedStyle(document.body);
const label = getComputedStyle(document.querySelector("#roofline svg text"));
seen.colours = [style.backgroundColor, style.color, label.fill];
location.hash = document.querySelector("#tests td a").getAttribute("href");
setTimeout(() => {
  seen.opened = document.querySelectorAll("details[open]").length;
  parent.postMessage(seen, "*");
}, 50);
"""
MANY_FAILURES = """
const failures = Array.from(document.querySelectorAll("#failures details"));
const shown = () => failures.filter((each) => each.offsetParent !== null).length;
const seen = {all: shown()};
const search = document.querySelector("#failures input");
search.value = "test_5"; search.dispatchEvent(new Event("input"));
seen.found = shown();
seen.told = document.querySelector("#failures output").textContent;
location.hash = failures[0].id;
setTimeout(() => {
  seen.opened = [failures[0].open, failures[0].offsetParent !== null];
  parent.postMessage(seen, "*");
}, 50);
"""
LONG_NAME = """
const cell = document.querySelector("#timings td");
parent.postMessage({name: cell.offsetWidth, screen: innerWidth}, "*");
"""
# No window is as narrow as a phone, but a frame is.
FRAME = """<!DOCTYPE html><script>
onmessage = (event) => { document.documentElement.dataset.seen = JSON.stringify(event.data); };
</script><iframe src="report.html" style="border: 0; width: WIDTHpx; height: 900px"></iframe>"""
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(13, 17, 23)"
LIGHT_TEXT, DARK_TEXT = "rgb(28, 33, 40)", "rgb(230, 237, 243)"


@pytest.fixture
def chromium(request: pytest.FixtureRequest) -> str:
    """Return the path of Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        unavailable(request.config, "there is no Chromium: apt-get install chromium")
    return found


def browse(
    chromium: str, folder: Path, width: int, *options: str, run: RunResult | None = None, steps: str = STEPS
) -> dict[str, Any]:
    """Open a run's page in a frame of that width, take the steps, and return what they saw."""
    frame = folder / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    (folder / "report.html").write_text(
        page(run or made_up_run()).replace("</body>", f"<script>{steps}</script></body>"), encoding="utf-8"
    )
    window = [f"--user-data-dir={folder / 'profile'}", "--window-size=1300,900", "--virtual-time-budget=2000"]
    command = [chromium, *OPTIONS, *options, *window, frame.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in result.stderr, result.stderr
    found = re.search(r'data-seen="([^"]*)"', result.stdout)
    assert found, result.stdout[-2000:]
    seen: dict[str, Any] = json.loads(found[1].replace("&quot;", '"'))
    return seen


@pytest.mark.parametrize("width", [1200, 390], ids=["desk", "phone"])
def test_the_page_works(chromium: str, tmp_path: Path, width: int) -> None:
    seen = browse(chromium, tmp_path, width)
    assert seen["width"] == width
    assert seen["colours"] == [LIGHT, LIGHT_TEXT, LIGHT_TEXT]
    assert seen["title"] == "pytest-xdevice report"
    assert seen["narrow"] == 0  # a heading is above its numbers, and all of it can be clicked on
    assert seen["figures"] > 10
    assert seen["sections"] == [
        "failures", "devices", "tests", "baseline", "timings", "roofline", "artifacts", "environment",
    ]  # fmt: skip
    assert seen["roofline"] == "Roofline"
    assert {"operations a byte", "GFLOP/s", "rk cpu", "add_one", "times as long as in the baseline"} <= set(
        seen["drawn"]
    )
    assert seen["knownUp"] == seen["knownDown"] == ["666.7 ns", ""]
    assert seen["up"] == sorted(seen["up"])
    assert seen["down"] == seen["up"][::-1]
    assert (seen["all"], seen["skipped"], seen["found"], seen["told"]) == (7, 1, 1, "1 of 7")
    assert seen["opened"] == 1
    assert not seen["wide"]


def test_the_page_and_its_plots_are_dark_where_the_system_is(chromium: str, tmp_path: Path) -> None:
    assert browse(chromium, tmp_path, 390, "--blink-settings=preferredColorScheme=0")["colours"] == [
        DARK, DARK_TEXT, DARK_TEXT,
    ]  # fmt: skip


def test_many_failures_are_filtered_and_a_link_shows_one_that_is_hidden(chromium: str, tmp_path: Path) -> None:
    tests = [TestResult(f"test_{i}", f"test_{i}", None, None, None, "failed", 0.1, "because") for i in range(12)]
    run = RunResult("2026-01-02T03:04:05+00:00", 1.0, {}, tests=tuple(tests))
    seen = browse(chromium, tmp_path, 1200, run=run, steps=MANY_FAILURES)
    assert (seen["all"], seen["found"], seen["told"]) == (12, 1, "1 of 12")
    assert seen["opened"] == [True, True]


def test_a_long_name_leaves_room_for_figures_on_a_phone(chromium: str, tmp_path: Path) -> None:
    run = RunResult("2026-01-02T03:04:05+00:00", 1.0, {}, timings=(timing("k" * 80),))
    seen = browse(chromium, tmp_path, 390, run=run, steps=LONG_NAME)
    assert 100 < seen["name"] < seen["screen"] / 2
