"""What the parser says of a text that is no InfluxQL, in InfluxDB's words."""


class ParseError(Exception):
    """The text is no InfluxQL. `str()` is InfluxDB's own sentence, position included.

    *found* is the offending token as InfluxDB names it and *expected* what it lists instead; both
    are empty where the tokens are right but what they say is refused (`invalid duration`). *line*
    and *char* count characters from 1; both are 0 for the few errors that InfluxDB does not place.
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
