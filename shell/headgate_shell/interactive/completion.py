"""Completions of the input: from the grammar, the shell's commands, and the server's names."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headgate_grammar import completions, highlight, quote_identifier
from headgate_shell.commands.dispatch import COMMANDS
from headgate_shell.commands.settings import CONSISTENCIES, FORMATS, PRECISIONS
from headgate_shell.go_space import split_words
from headgate_shell.interactive.completion_names import CompletionNames
from headgate_shell.interactive.local_commands import LOCAL_COMMANDS

_WORD = re.compile(r'"[^"\n]*\Z|[\w\\]*\Z')
_ARGUMENTS: dict[str, Sequence[str]] = {
    "format": FORMATS,
    "precision": PRECISIONS,
    "consistency": CONSISTENCIES,
    "clear": ("database", "db", "retention policy", "rp"),
    "chunk": ("size",),
    "node": ("clear",),
}
_MAX_COMPLETIONS = 200
# Without a completion by its beginning, a word of this length is looked for within names.
_LEAST_FUZZY = 3
# A name with one of these characters cannot be written in InfluxQL: its lexer replaces the
# character, or ends the statement there.
_INEXPRESSIBLE = re.compile("[\0\r\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class CompletionItem:
    """A completion: *text* replaces the last *length* characters of the input.

    *kind* is its label in the menu, such as `keyword` or `database`.
    """

    text: str
    length: int
    kind: str


def complete_input(text: str, names: CompletionNames) -> list[CompletionItem]:
    """Returns at most 200 completions of *text*, which ends at the cursor."""
    found = _WORD.search(text)
    word = found[0] if found is not None else ""
    before = text[: len(text) - len(word)]
    candidates = list(_candidates(before, names))
    offered = [
        CompletionItem(as_typed, len(word), kind)
        for offer, kind in candidates
        if (as_typed := _completion_text(offer, word, kind))
    ]
    if not offered and len(word) >= _LEAST_FUZZY:
        offered = [
            CompletionItem(as_typed, len(word), kind)
            for offer, kind in candidates
            if _is_within(word, offer)
            and (as_typed := _completion_text(offer, word[:1] if word[0] == '"' else "", kind))
        ]
    return offered[:_MAX_COMPLETIONS]


def _is_within(word: str, candidate: str) -> bool:
    """Returns whether the characters of *word* are in *candidate*, in this order."""
    rest = iter(candidate.lower())
    return all(character in rest for character in word.lstrip('"').lower())


def _candidates(before: str, names: CompletionNames) -> Iterable[tuple[str, str]]:
    words = split_words(before)
    if not words:
        yield from ((command, "command") for command in (*COMMANDS, *LOCAL_COMMANDS))
    elif words[0].lower() in COMMANDS:
        if len(words) == 1:
            yield from ((argument, "value") for argument in _ARGUMENTS.get(words[0].lower(), ()))
            if words[0].lower() == "use":
                yield from ((name, "database") for name in names.databases)
        return
    accepted = completions(before)
    yield from ((keyword, "keyword") for keyword in accepted.keywords)
    if accepted.identifier:
        yield from _name_candidates(before, names)


def _name_candidates(before: str, names: CompletionNames) -> Iterable[tuple[str, str]]:
    """Yields each user or database that may follow *before*, with its kind."""
    words = [before[piece.start : piece.stop].upper() for piece in highlight(before)]
    last = words[-1:]
    # Only the last of several statements counts.
    begun = len(words) - 1 - words[::-1].index(";") if ";" in words else -1
    first = words[begun + 1 : begun + 2]
    match first, last:
        case (["GRANT"], ["TO"]) | (["REVOKE"], ["FROM"]) | (_, ["FOR"]) | (["DROP"], ["USER"]):
            yield from ((name, "user") for name in names.users)
        case (_, ["ON"]) | (["DROP"], ["DATABASE"]):
            yield from ((name, "database") for name in names.databases)


def _completion_text(candidate: str, word: str, kind: str) -> str:
    """Returns *candidate* as InfluxQL spells it, or "" if it cannot complete *word*."""
    if kind in ("user", "database"):
        if _INEXPRESSIBLE.search(candidate):
            return ""
        quoted = quote_identifier(candidate)
        if word.startswith('"'):
            return _quote_always(candidate) if candidate.startswith(word[1:]) else ""
        return quoted if candidate.startswith(word) else ""
    if not candidate.lower().startswith(word.lower()):
        return ""
    return candidate.lower() if kind == "keyword" and word.islower() else candidate


def _quote_always(name: str) -> str:
    quoted = quote_identifier(name)
    return quoted if quoted.startswith('"') else f'"{quoted}"'
