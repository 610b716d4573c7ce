"""Build logs of OpenCL drivers, with the lines of the source."""

from __future__ import annotations

from pytest_xdevice.runtime.build_log import with_source_lines

SOURCE = '#define N 4\n#line 1 "a b.cl"\nfirst\n\tsecond x\n#line 1 "inner.h"\nthird\n#line 4 "a b.cl"\nfourth\n'


def test_pocl_names_places_alone() -> None:
    log = "error: a b.cl:2:9: undeclared 'x'\nerror: inner.h:1:1: unknown type\nDevice failed\n"
    assert with_source_lines(log, SOURCE) == (
        "a b.cl:2:9: error: undeclared 'x'\n\tsecond x\n\t       ^\n"
        "inner.h:1:1: error: unknown type\nthird\n^\nDevice failed"
    )


def test_a_place_within_a_macro_is_where_that_is_used() -> None:
    log = "error: a b.cl:2:9 <Spelling=a b.cl:1:1>: undeclared 'x'\n"
    assert with_source_lines(log, SOURCE) == "a b.cl:2:9: error: undeclared 'x'\n\tsecond x\n\t       ^"


def test_nvidia_counts_lines_of_the_text_and_shows_them() -> None:
    log = "<kernel>:8:1: error: unknown type\nfourth\n^\n"
    assert with_source_lines(log, SOURCE) == "a b.cl:4:1: error: unknown type\nfourth\n^"


def test_a_source_without_directives_is_left_alone() -> None:
    log = "<kernel>:1:1: error: unknown type\nfirst\n^"
    assert with_source_lines(log, "first\n") == log
    assert with_source_lines("nothing of that form", SOURCE) == "nothing of that form"
