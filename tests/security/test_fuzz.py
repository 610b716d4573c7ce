"""A bounded part of what ``python -m tests.fuzz`` does, the same in every run, and cases that hypothesis makes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import seeds
from tests.fuzz.targets import targets

NAMES = sorted(seeds())
OUTCOMES = {  # that occur: a fuzzer whose cases are all refused at the first byte finds nothing
    "handshake_of_server": {"no handshake", "refused"},
    "handshake_of_host": {"no handshake", "refused"},
    "worker": {"1 answers", "2 answers", "3 answers"},
    "answers_to_host": {"results", "problem", "lost"},
}


@pytest.mark.parametrize("name", NAMES)
def test_mutated_cases(name: str, tmp_path: Path) -> None:
    target, source = targets(str(tmp_path))[name], random.Random(name)
    found = {target(mutated(seeds()[name], source)) for _ in range(2000)}
    assert found == OUTCOMES[name]


@pytest.mark.parametrize("name", NAMES)
def test_cases_of_hypothesis(name: str, tmp_path: Path) -> None:
    target, known = targets(str(tmp_path))[name], seeds()[name]

    @given(st.lists(st.sampled_from(known) | st.binary(max_size=300) | st.integers(0, 300), min_size=1, max_size=5))
    @settings(max_examples=300)
    def check(parts: list[bytes | int]) -> None:
        data = b""
        for part in parts:  # a number cuts off what came before
            data = data[:part] if isinstance(part, int) else data + part
        target(data)

    check()
