"""Paths of the repository, the tests, and the recorded conformance cases."""

from pathlib import Path

TESTS = Path(__file__).parent.parent
REPOSITORY = TESTS.parent
RECORDED = TESTS / "conformance"
