"""Finds the most common errors in a regular expression of RE2's syntax, without the RE2 library.

`check_regex` uses this module where google-re2 is not installed. All expressions that it rejects
are invalid in RE2. It accepts some invalid expressions: those with unknown classes, escapes or
flags, reversed ranges, empty group names, and excessive or reversed repetition counts.
"""

import re

# A repetition operator, and what makes it lazy.
_REPETITION = re.compile(r"(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})\??")
_UNSUPPORTED = re.compile(r"\(\?(?:=|!|<=|<!|>|#|P=)")
_FLAGS = re.compile(r"\(\?[a-zA-Z]*(?:-[a-zA-Z]*)?\)")
_GROUP = re.compile(r"\((?:\?(?:[a-zA-Z]*(?:-[a-zA-Z]*)?:|P?<[^>]*>))?")
# One digit; RE2 reads two octal digits as a character.
_BACKREFERENCE = re.compile(r"[1-7](?![0-7])|[89]")
_NAMED_CLASS = re.compile(r"\[:\^?[A-Za-z]*:\]")


def find_regex_error(pattern: str) -> tuple[str, str] | None:
    """Returns the first error that it finds in *pattern*, or None.

    The result is a pair, such as `("missing ]", "[a")`: RE2's name for the error, and the wrong
    part of *pattern*, which may be "". The time is proportional to the length of *pattern*.
    """
    place = depth = 0
    # The repetition operator before *place*: "" without one, None where nothing can be repeated.
    repeated: str | None = None
    while place < len(pattern):
        match pattern[place]:
            case "\\":
                if place + 1 == len(pattern):
                    return "trailing \\", ""
                if _BACKREFERENCE.match(pattern, place + 1):
                    return "invalid escape sequence", pattern[place : place + 2]
                place = _end_of_escape(pattern, place)
                repeated = ""
            case "[":
                end = _end_of_class(pattern, place)
                if end < 0:
                    # A backslash at the end comes first in RE2.
                    trailing = (len(pattern) - len(pattern.rstrip("\\"))) % 2
                    return ("trailing \\", "") if trailing else ("missing ]", pattern[place:])
                place, repeated = end, ""
            case "(":
                if (unsupported := _UNSUPPORTED.match(pattern, place)) is not None:
                    part = unsupported[0]
                    return "invalid perl operator", part[:3] if part == "(?P=" else part
                if (flags := _FLAGS.match(pattern, place)) is not None:
                    place = flags.end()
                    repeated = ""  # it depends on what is before: accepted
                else:
                    group = _GROUP.match(pattern, place)
                    place, repeated = group.end() if group is not None else place + 1, None
                    depth += 1
            case ")":
                if not depth:
                    return "unexpected )", pattern
                depth -= 1
                place, repeated = place + 1, ""
            case "|":
                place, repeated = place + 1, None
            case _:
                repetition = _REPETITION.match(pattern, place)
                if repetition is None:
                    place, repeated = place + 1, ""
                elif repeated is None:
                    return "no argument for repetition operator", repetition[0].rstrip("?") or "?"
                elif repeated:
                    return "bad repetition operator", repeated + repetition[0]
                else:
                    place, repeated = repetition.end(), repetition[0]
    return ("missing )", pattern) if depth else None


def _end_of_escape(pattern: str, place: int) -> int:
    r"""Returns the index after the escape that begins at *place*.

    The escape is two characters long, or extends from \Q to \E or to the end of *pattern*.
    """
    if pattern.startswith("\\Q", place):
        end = pattern.find("\\E", place)
        return len(pattern) if end < 0 else end + 2
    return place + 2


def _end_of_class(pattern: str, place: int) -> int:
    """Returns the index after the class `[..]` that begins at *place*, or -1 if it is unclosed."""
    place += 1
    if pattern.startswith("^", place):
        place += 1
    first = place
    while place < len(pattern):
        if pattern[place] == "]" and place > first:
            return place + 1
        if pattern[place] == "\\":
            place += 2
        elif (named := _NAMED_CLASS.match(pattern, place)) is not None:
            place = named.end()
        else:
            place += 1
    return -1
