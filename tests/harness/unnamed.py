"""Tests that ask for a device without naming it as an argument, for the runs that tests start."""

from __future__ import annotations

from typing import Final

TESTS: Final = """
import unittest
import pytest

def test_function(request):
    request.getfixturevalue("xdevice")

class TestMethod(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _take_device(self, xdevice): pass

    def test_nothing(self): pass
"""
