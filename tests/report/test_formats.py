"""Reports as JSON, Markdown and HTML text: complete, true to the schema, and with every text as it was."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from pytest_xdevice.report.action_benchmark import smaller_is_better
from pytest_xdevice.report.figures import TimingRow
from pytest_xdevice.report.files import text_of
from pytest_xdevice.report.markdown import markdown
from pytest_xdevice.report.page import page
from pytest_xdevice.report.report_file import ReportFile
from pytest_xdevice.report.roofline import points_of
from pytest_xdevice.report.roofline import roofs_of
from pytest_xdevice.report.run import RunResult

from .runs import made_up_run
from .runs import NASTY
from .runs import SLOWER
from .runs import timing

EMPTY = RunResult("2026-01-02T03:04:05+00:00", 0.0, {})


def schema() -> jsonschema.Draft202012Validator:
    text = resources.files("pytest_xdevice.report").joinpath("schema.json").read_text(encoding="utf-8")
    jsonschema.Draft202012Validator.check_schema(json.loads(text))
    return jsonschema.Draft202012Validator(json.loads(text))


@pytest.mark.parametrize("run", [made_up_run(), EMPTY], ids=["full", "empty"])
def test_json_follows_the_schema(run: RunResult) -> None:
    schema().validate(run.to_json())


def test_the_schema_refuses_what_is_missing() -> None:
    data = made_up_run().to_json()
    del data["tests"][0]["outcome"]
    with pytest.raises(jsonschema.ValidationError, match="'outcome' is a required property"):
        schema().validate(data)


def test_every_property_of_the_schema_is_there() -> None:
    data, rules = made_up_run().to_json(), schema().schema
    assert set(rules["properties"]) == set(data)
    assert set(rules["$defs"]["picture"]["properties"]) == set(data["tests"][0]["picture"])
    for name in ("device", "test", "timing", "artifact"):
        assert set(rules["$defs"][name]["properties"]) == set(data[f"{name}s"][0])


def test_numbers_that_are_not_finite_are_null() -> None:
    run = replace(EMPTY, timings=(timing(results=[math.nan, 1.0], mean=math.nan, median=math.nan, stdev=math.inf),))
    data = run.to_json()
    schema().validate(data)
    json.dumps(data, allow_nan=False)
    assert data["timings"][0]["results"] == [None, 1.0]
    assert data["timings"][0]["mean"] is None
    for text in (page(run), markdown(run)):
        assert "nan" in text


def test_json_tells_all() -> None:
    data = made_up_run().to_json()
    assert data["counts"] == {"failed": 2, "error": 2, "xpassed": 2, "xfailed": 2, "skipped": 2, "passed": 3}
    assert data["tests"][0]["sections"] == [{"title": "Captured stdout call", "text": NASTY}]
    assert data["devices"][0]["opencl"][0]["name"] == "Mali"


def test_markdown_has_devices_tests_timings_and_failures() -> None:
    text = markdown(made_up_run())
    assert text.startswith("## xdevice: 2 failed, 2 error, 2 xpassed, 2 xfailed, 2 skipped, 3 passed\n")
    assert "| rk | Cortex-A53 | 4 | 1 GiB |" in text
    assert "| `test_a.py::test_failed` | ❌ | ❌ |  |" in text
    assert "| rk cpu | add\\_one | float32\\[64×32\\] | 1.100 µs | 1.000 µs |" in text
    assert text.count("<details><summary>❌") == 2


def test_what_was_counted_is_told_where_it_is_known() -> None:
    for text, cell in ((page(made_up_run()), "<td[^>]*>{}</td>"), (markdown(made_up_run()), "[|] {} [|]")):
        for title in ("Counted for each call", "Where the time of an OpenCL launch went"):
            assert text.count(title) == 1
        for figure in ("2000", "5000", "2.5", "0.25", "40.00 µs", "90.00 µs"):  # IPC is 2.5
            assert re.search(cell.format(re.escape(figure)), text), figure
        assert "cache misses" not in text  # nobody counted any
    text = page(replace(EMPTY, timings=(timing(), timing(), replace(timing(), device="pi 4"))))
    assert text.count("<li>Not counted on rk cpu, pi 4 cpu: instructions: not allowed</li>") == 1
    plain = replace(EMPTY, timings=(timing(counters=None, events=None),))
    for text in (page(plain), markdown(plain)):
        assert "Counted for each call" not in text
        assert "OpenCL launch" not in text


def test_a_baseline_is_told_by_figure() -> None:
    assert "| rk cpu | add\\_one | float32\\[64×32\\] | slower | 1.100 µs | 666.7 ns | 1.500 |" in markdown(
        replace(EMPTY, timings=(timing(baseline=SLOWER),))
    )
    text = page(made_up_run())
    assert '<span class="chip failed">slower</span>' in text
    assert '<span class="chip ">new</span>' in text
    assert "Against the baseline" not in page(replace(EMPTY, timings=(timing(),)))


def test_the_roofline_has_the_most_that_a_device_gave() -> None:
    stream = timing("copy", bytes=8192, flops=None, results=[1e-6], median=1e-6)
    dense = timing("matmul", bytes=8192, flops=81920, results=[1e-5], median=1e-5)
    rows = [TimingRow.of(found) for found in (stream, dense)]
    assert [(point.row.kernel, point.intensity) for point in points_of(rows)] == [("matmul", 10.0)]
    (roof,) = roofs_of(rows)
    assert (roof.lane, roof.bandwidth, roof.flops) == ("rk cpu", pytest.approx(8.192e9), pytest.approx(8.192e9))
    assert roof.at(0.5) == pytest.approx(4.096e9)
    assert roof.at(50) == pytest.approx(8.192e9)
    for impossible in (timing(flops=0), timing(flops=5, median=0.0), timing(flops=5, median=math.nan), timing(bytes=0)):
        assert points_of([TimingRow.of(impossible)]) == []


def test_a_page_links_to_what_failed_tests_left(tmp_path: Path) -> None:
    run = replace(EMPTY, tests=(replace(made_up_run().tests[0], kept=str(tmp_path / "kept" / "test_a[b c]")),))
    assert 'href="../kept/test_a%5Bb%20c%5D/"' in page(run, tmp_path / "out")
    assert "<a href" not in page(run).partition('id="failures"')[2].partition("</section>")[0]


def test_what_disturbed_timings_is_told_once() -> None:
    slow = {"frequency": 600_000_000, "max_frequency": 1_800_000_000, "governors": ["ondemand"], "cores": 4}
    run = replace(EMPTY, timings=(timing(conditions=slow), timing(conditions=slow), timing(conditions=None)))
    for text in (page(run), markdown(run)):
        assert text.count("a clock of 600 MHz of 1800 MHz (governor ondemand)") == 1
    assert "a clock of" not in markdown(replace(EMPTY, timings=(timing(),)))


def test_markdown_keeps_the_shape_of_its_tables() -> None:
    lines = markdown(made_up_run()).splitlines()
    for index, line in enumerate(lines):
        if line.startswith("| ---"):
            columns = line.count("|")
            table = [row for row in lines[index - 1 :][: lines[index:].index("") + 1] if row.startswith("|")]
            assert {len(re.findall(r"(?<!\\)\|", row)) for row in table} == {columns}


def test_long_details_are_shortened_in_markdown_alone() -> None:
    run = made_up_run()
    long = replace(run, tests=(replace(run.tests[0], details="x" * 100_000),))
    assert len(markdown(long)) < 20_000
    assert "x" * 100_000 in page(long)


class Page(HTMLParser):
    """The tags of a page with what they refer to, and what is left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_no_network() -> None:
    text = page(made_up_run())
    parsed = Page(text)
    assert parsed.open == []
    assert parsed.tags.count("script") == 1
    assert all(reference.startswith(("#", "data:")) for reference in parsed.references)
    assert "default-src 'none'" in text
    assert "url(http" not in text


def test_the_page_tells_what_the_run_does() -> None:
    text = page(made_up_run())
    for part in ("2 failed", "rk", "10.0.0.1:9090", "Cortex-A53", "Mali", "1.100 µs", "float32[64×32]", "3.11.7"):
        assert part in text
    assert text.count("<svg") == 6  # two kernels, two failures, the roofline, the baseline
    assert "currentColor" in text


def test_times_far_apart_are_drawn_with_units_on_a_logarithmic_axis() -> None:
    for factor, marks in ((3, "1 µs"), (3000, "100 µs")):
        run = replace(EMPTY, timings=(timing(), timing(kind="opencl", seconds=factor * 1e-6)))
        assert re.search(rf">\s*{marks}\s*</text>", page(run))


def test_a_page_without_matplotlib_says_how_to_get_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_xdevice.report.svg.is_there", lambda: False)
    text = page(made_up_run())
    assert "<svg" not in text
    assert "pip install 'pytest-xdevice[report]'" in text


def test_an_empty_run_is_a_report_too() -> None:
    assert "no tests ran" in page(EMPTY)
    assert "no tests ran" in markdown(EMPTY)


def test_the_same_run_gives_the_same_page() -> None:
    assert page(made_up_run()) == page(made_up_run())


def test_a_format_is_chosen_by_the_name() -> None:
    run = made_up_run()
    assert json.loads(text_of(ReportFile(Path("r.JSON")), run))["schema_version"] == 1
    assert json.loads(text_of(ReportFile(Path("r.benchmark.json")), run)) == smaller_is_better(run)
    assert text_of(ReportFile(Path("r.md")), run) == markdown(run)
    assert text_of(ReportFile(Path("r.html")), run) == page(run, Path())


def test_figures_for_a_ci_have_stable_names_and_one_unit() -> None:
    run = replace(
        EMPTY,
        timings=(
            timing(), timing(seconds=1e-3), timing("saxpy", median=math.nan), timing("saxpy", flops=10),
            replace(timing(kind="opencl"), test="test_alone[rk-opencl]"),
        ),
    )  # fmt: skip
    found = smaller_is_better(run)
    assert [(each["name"], each["unit"], each["value"]) for each in found] == [
        ("test_a.py::test_speed[rk-cpu] add_one float32[64×32]", "ns", pytest.approx(1100)),
        ("test_a.py::test_speed[rk-cpu] add_one float32[64×32] #2", "ns", pytest.approx(1.1e6)),
        ("test_a.py::test_speed[rk-cpu] saxpy float32[64×32] #2", "ns", pytest.approx(1100)),
        ("test_alone[rk-opencl]", "ns", pytest.approx(1100)),
    ]
    assert found[0]["range"] == "± 100"
    assert found[2]["extra"] == "rk cpu: saxpy float32[64×32], 5 × 10 calls, 7.45 GB/s, 0.0091 GFLOP/s"
    assert smaller_is_better(EMPTY) == []


def test_a_file_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert ReportFile(tmp_path / "file" / "deep" / "r.html").obstacle() == f"{tmp_path / 'file'} is no folder"
    assert ReportFile(tmp_path / "new" / "r.html").obstacle() is None


def test_devices_without_opencl_need_no_column_for_it() -> None:
    run = made_up_run()
    assert ">OpenCL</button>" in page(run)
    assert ">OpenCL</button>" not in page(replace(run, devices=run.devices[1:]))


def test_what_devices_take_for_the_same_shape_is_side_by_side() -> None:
    timings = [
        replace(timing(arguments=[f"a: float32[{size}]"]), device=device) for device in ("rk", "pi") for size in (1, 2)
    ]
    drawn = page(replace(EMPTY, timings=tuple(timings)))
    labels = re.findall(r">(float32\[\d\] \w+ cpu)</text>", drawn)
    assert labels == ["float32[1] rk cpu", "float32[1] pi cpu", "float32[2] rk cpu", "float32[2] pi cpu"]


def test_a_kernel_has_one_label_where_devices_are_alike() -> None:
    def rooflines(factor: float) -> str:
        found = timing(flops=2048), replace(timing(flops=2048, median=factor * 1.1e-6), device="pi")
        return page(replace(EMPTY, timings=found)).partition('id="roofline"')[2].partition("</figure>")[0]

    assert rooflines(1.1).count(">add_one</text>") == 1
    assert rooflines(10.0).count(">add_one</text>") == 2


def test_the_legend_of_the_roofline_hides_no_point() -> None:
    drawn = page(made_up_run()).partition('id="roofline"')[2]

    def height(label: str) -> float:
        found = re.search(rf'<text [^>]*\by="([\d.]+)"[^>]*>\s*{label}\s*</text>', drawn)
        assert found, label
        return float(found[1])

    assert height("the most of this run") < height("rk cpu") < height("add_one")
