"""Errors of parsing, with InfluxDB's messages."""


class ParseError(Exception):
    """The text is invalid InfluxQL. `str()` is InfluxDB's own message, position included.

    *found* is the unexpected token as InfluxDB names it, and *expected* InfluxDB's list of
    alternatives. Both are empty if the tokens are right but a value is rejected (`invalid
    duration`). *line* and *char* count from 1. Both are 0 for the few errors that InfluxDB reports
    without a position.
    """

    def __init__(self, message: str, line: int = 0, char: int = 0) -> None:
        super().__init__(f"{message} at line {line}, char {char}" if line else message)
        self.found = ""
        self.expected: tuple[str, ...] = ()
        self.line = line
        self.char = char


class UnexpectedToken(ParseError):
    """A token stands where another one was expected."""

    def __init__(self, found: str, expected: tuple[str, ...], line: int, char: int) -> None:
        super().__init__(f"found {found}, expected {', '.join(expected)}", line, char)
        self.found = found
        self.expected = expected
