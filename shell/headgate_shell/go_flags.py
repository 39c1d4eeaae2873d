"""Parses a command line by the rules of Go's flag package.

Scripts written for influx, InfluxDB's own shell, rely on these rules.

argparse reads `-password ''`, `-pretty=T` and `-h value` differently.
"""

from collections.abc import Mapping, Sequence

Value = str | int | bool

_BOOLEANS = {text: True for text in ("1", "t", "T", "true", "TRUE", "True")} | {
    text: False for text in ("0", "f", "F", "false", "FALSE", "False")
}


class FlagError(Exception):
    """The command line is invalid; `str()` is the message of Go's flag package.

    *hint* is a further sentence, which that package lacks; "" for none.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def parse_flags(
    arguments: Sequence[str], defaults: Mapping[str, Value]
) -> tuple[dict[str, Value], list[str]]:
    """Returns the values of the given flags, and the remaining words. Raises FlagError.

    Each flag must be in *defaults* and has the type of its default. A flag has one or two dashes.
    The value follows as `-flag=x`, or as `-flag x` unless the flag is boolean. The last of repeated
    flags wins. `--` or the first word without a dash ends the flags.
    """
    values: dict[str, Value] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        name, equals, text = word[2 if word.startswith("--") else 1 :].partition("=")
        if not name or name.startswith("-"):
            raise FlagError(f"bad flag syntax: {word}")
        if name not in defaults:
            raise FlagError(f"flag provided but not defined: -{name}", _hint(name, defaults))
        if isinstance(defaults[name], bool):
            values[name] = _parse_boolean(name, text) if equals else True
            continue
        if not equals:
            if not rest:
                raise FlagError(f"flag needs an argument: -{name}")
            text = rest.pop(0)
        values[name] = _parse_integer(name, text) if isinstance(defaults[name], int) else text
    return values, rest


def _hint(name: str, defaults: Mapping[str, Value]) -> str:
    # Imported on demand: valid flags need no such help.
    from difflib import get_close_matches

    near = get_close_matches(name, list(defaults), 1)
    return f"did you mean -{near[0]}?" if near else ""


def _parse_boolean(name: str, text: str) -> bool:
    if text not in _BOOLEANS:
        raise FlagError(f'invalid boolean value "{text}" for -{name}: parse error')
    return _BOOLEANS[text]


def _parse_integer(name: str, text: str) -> int:
    # Python's `int` also accepts digits of other scripts, and surrounding white space.
    if not text.isascii() or text != text.strip():
        raise FlagError(f'invalid value "{text}" for flag -{name}: parse error')
    digits = text.lstrip("+-")
    # Go reads a leading 0 as octal; Python accepts only "0o".
    octal = len(digits) > 1 and digits.isdigit() and digits[0] == "0"
    try:
        return int(text, 8 if octal else 0)
    except ValueError:
        raise FlagError(f'invalid value "{text}" for flag -{name}: parse error') from None
