"""Where the repository and what was recorded are."""

from pathlib import Path

TESTS = Path(__file__).parent.parent
REPOSITORY = TESTS.parent
RECORDED = TESTS / "conformance"
