"""Random requests: never a 500, a traceback, or no end. `make long CHECK=fuzz-http` sends more."""

from pathlib import Path

from fuzz_http import begun, fuzz


def test_no_request_gets_the_better_of_the_server(tmp_path: Path) -> None:
    assert fuzz(begun(tmp_path), 4000, 7) == []
