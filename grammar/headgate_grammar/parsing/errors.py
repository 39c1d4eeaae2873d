"""Errors of parsing, with InfluxDB's messages."""

from typing import Self


class ParseError(Exception):
    """The text is invalid InfluxQL or exceeds a limit; `str()` is the message with the position.

    For invalid InfluxQL the message is InfluxDB's own. If a token is unexpected, *found* is this
    token, and *expected* are the tokens that InfluxDB lists as expected. Both are empty for other
    errors, such as `invalid duration`. *line* and *char* count from 1. Both are 0 for the few
    errors that InfluxDB reports without a position.
    """

    def __init__(self, message: str, line: int = 0, char: int = 0) -> None:
        super().__init__(f"{message} at line {line}, char {char}" if line else message)
        self.found = ""
        self.expected: tuple[str, ...] = ()
        self.line = line
        self.char = char

    def without_traceback(self) -> Self:
        """Returns an equal error that refers to nothing of the parsing that raised this one."""
        kind = type(self)
        equal = kind.__new__(kind, *self.args)
        equal.__dict__.update(self.__dict__)
        return equal


class UnexpectedToken(ParseError):
    """The text contains the token *found* where InfluxDB expects one of *expected*."""

    def __init__(self, found: str, expected: tuple[str, ...], line: int, char: int) -> None:
        super().__init__(f"found {found}, expected {', '.join(expected)}", line, char)
        self.found = found
        self.expected = expected
