"""Generates random statements with bound parameters for names, strings, numbers and patterns."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from headgate_grammar.parsing.lexer import scan
from support.random_statements import Statements

# Texts that would end, open or escape a token if they were inserted into a statement.
HOSTILE = (
    *("", "x", "a b", "a.b", "é", "İ", "\u2028", "\x1c", "\x85", "\xa0", "\x7f", "\x1b[31m"),
    *("\\", "\\\\", "x\\", "x\\\\", "/", "\\/", "\\\\/", "/,", "'", "\\'", '"', '\\"', "`", "\n"),
    *("a\nb", "\\\n", "--", "/*", "*/", ";", "; DROP DATABASE bank", "/; DROP DATABASE bank --"),
    *("/,bank.autogen.m --", "'; DROP DATABASE bank --", '"; DROP DATABASE bank --', "$p0", "${x}"),
    *("fill", "tz", "verbose", "time", "select", "distinct", "null", "none", "UTC", "::field", "*"),
    *(
        "(?i)x\\\\",
        "[a\nb]",
        "[/\\\\]",
        "\\Qa\\",
        "\\Q\n\\",
        "\\Q/\\E\\\\",
        "(?:\\\\)",
        ".*",
        "1",
        "1s",
    ),
)
UNPRINTABLE = ("\r", "a\r\nb", "\0", "\ud800", "x\udfff")
NUMBERS = (
    *(0, 1, -1, 42, (1 << 63) - 1, -(1 << 63), 0.0, -0.0, 1.5, -2.25, 3.0, 0.1, 123456.7891),
    *(1e300, 1e-300, 2.0**63, 1e22, -1e19),
)
_KINDS = frozenset("IDENT STRING REGEX INTEGER NUMBER DURATION_LITERAL TRUE FALSE".split())


@dataclass(frozen=True)
class Bound:
    """A statement *text* with `$p0`, `$p1` ... in it, and the values of these *parameters*."""

    text: str
    parameters: Mapping[str, object]


def text(random: random.Random) -> str:
    """Returns one to three texts of HOSTILE, concatenated."""
    return "".join(random.choice(HOSTILE) for _ in range(random.randint(1, 3)))


def value(random: random.Random, kind: str) -> object:
    """Returns a value, mostly one that fits a token of *kind*."""
    if random.random() < 0.2:
        kind = random.choice(sorted(_KINDS))
    match kind:
        case "IDENT":
            return {"identifier": text(random)}
        case "STRING":
            return text(random)
        case "REGEX":
            return {"regex": text(random)}
        case "INTEGER" | "NUMBER":
            return random.choice(NUMBERS)
        case "DURATION_LITERAL":
            return {"duration": random.choice(["1s", "1h30m", 5, 0, -5, 10**18, "1µ"])}
        case _:
            return random.choice([True, False])


def bound(seed: int) -> Bound:
    """Returns a random statement with one to three parameters; the same for the same *seed*."""
    statements = Statements(seed)
    choose = statements.random
    return bind(statements.statement(), choose)


def bind(text: str, choose: random.Random) -> Bound:
    """Returns *text* with up to three of its tokens replaced by parameters."""
    tokens = [token for token in scan(text) if token.type in _KINDS]
    chosen = choose.sample(tokens, min(len(tokens), choose.randint(1, 3)))
    parameters: dict[str, object] = {}
    for token in sorted(chosen, key=lambda token: -(token.start_pos or 0)):
        name = f"p{len(parameters)}"
        parameters[name] = value(choose, token.type)
        text = f"{text[: token.start_pos]}${name}{text[token.end_pos :]}"
    return Bound(text, parameters)
