"""Regular expressions: RE2's verdict, and that of the scanner in its place."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate_grammar.text import regexes
from headgate_grammar.text.regex_scan import find_regex_error
from headgate_grammar.text.regexes import BadRegex, check_regex

FAULTS = [
    *(
        "a\\",
        "(a",
        "a)",
        "(a))",
        "((a)",
        "[a",
        "[^]a",
        "[]",
        "[a[:alpha:]",
        "[a\\",
        "[\\]",
        "(?i:a",
    ),
    *("*a", "a|*", "(*a)", "(?:*a)", "{2}", "a**", "a*??", "a*?*", "a+*", "a{2}{3}", "x{2}??"),
    *(
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?P=n)",
        "(?>a)",
        "(?#c)",
        "\\1",
        "\\8*",
        "\\18",
        "\\7a",
        "(?=(((",
        "+",
    ),
    *("\\Qa(b\\E(", "(?P<n>a", "?", "|?", "(|+)"),
]
VALID = [
    *(
        "",
        "a",
        "[]]",
        "a*?",
        "a{",
        "a{,2}",
        "(?<n>a)",
        "(?P<n>a)",
        "(?i)a",
        "\\z",
        "\\10",
        "\\777*",
        "\\08",
        "\\Qabc",
        "\\pN",
    ),
    *(
        "^*",
        "()",
        "|",
        "(|a)",
        "x{2}{",
        "x{2}?",
        "é*",
        "(?U)a",
        "a(?i)b",
        "[[:alpha:]]+",
        "[^\\]]",
        "\\[",
    ),
    *("(?i-s:a)", "a{1000}", "[(]", "\\(", "[a*]*", "a\\*\\*", "\\Q**(\\E*"),
]


def verdict(pattern: str) -> str:
    try:
        check_regex(pattern)
    except BadRegex as error:
        return str(error)
    return ""


@pytest.fixture
def without_re2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regexes, "find_regex_error", find_regex_error)


@pytest.mark.parametrize("pattern", FAULTS)
def test_the_scanner_has_the_message_of_re2(pattern: str, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("re2")
    expected = verdict(pattern)
    request.getfixturevalue("without_re2")
    assert expected and verdict(pattern) == expected


@pytest.mark.parametrize("pattern", VALID)
def test_the_scanner_accepts_what_is_valid(pattern: str) -> None:
    pytest.importorskip("re2")
    assert verdict(pattern) == "" and find_regex_error(pattern) is None


patterns = st.lists(
    st.sampled_from(
        [*"ab()[]|*+?^$.{}-:<>=!,0129P", "\\", "\\Q", "\\E", "(?", "(?:", "(?i)", "[:alpha:]", "[^"]
    ),
    max_size=14,
).map("".join)


@given(patterns)
@example("a(?i)*")
@example("[[:a]")
@example("(?P<n")
def test_the_scanner_rejects_only_what_re2_rejects(pattern: str) -> None:
    pytest.importorskip("re2")
    if find_regex_error(pattern) is not None:
        assert verdict(pattern) != "", pattern


@pytest.mark.parametrize("pattern", ["(" * 100_001, "\\p{L}" * 201])
def test_a_too_large_expression_is_rejected(pattern: str) -> None:
    assert verdict(pattern) == "error parsing regexp: expression too large"


@pytest.mark.slow
@pytest.mark.parametrize("part", ["[:", "[:a", "(?", "\\Q", "{1", "(?P<", "[[:^a"])
def test_a_long_expression_takes_time_in_proportion(part: str) -> None:
    # In proportion to the square, it would take minutes.
    find_regex_error("[" + part * (1 << 16))
    find_regex_error(part * (1 << 16))
