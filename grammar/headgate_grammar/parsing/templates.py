"""Statement templates: InfluxQL texts that differ only in names are parsed once.

A program that manages users sends `SHOW GRANTS FOR` with another name each time. The parser treats
all names alike. The statement for a new name is therefore a copy with that name, without parsing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from headgate_grammar.ast.privilege import Privilege
from headgate_grammar.ast.statements import Statement
from headgate_grammar.text.keywords import NEW_KEYWORDS, is_keyword

_MAX_TEMPLATES = 256
_WORD = r'[A-Za-z_][A-Za-z0-9_]*|"[^"\\\n\r\0\ud800-\udfff]+"'
_WORDS_PATTERN = re.compile(rf"(?:{_WORD})(?: (?:{_WORD}))*")
_WORD_PATTERN = re.compile(_WORD)
# Words that are keywords in some places only.
_SOFT_KEYWORDS = NEW_KEYWORDS | {"fill", "tz"}


@dataclass(frozen=True, slots=True)
class _StatementTemplate:
    """A statement without its names: its class *kind*, and the *values* of its fields.

    An integer in *values* stands for a name: it is the index of this name among the names of the
    text, from 0.
    """

    kind: type[Any]
    values: Sequence[int | Privilege]

    def with_names(self, names: Sequence[str]) -> Statement:
        """Returns a statement of this template with *names*, in the order of the text."""
        values = [one if isinstance(one, Privilege) else names[one] for one in self.values]
        statement: Statement = self.kind(*values)
        return statement


class TemplateCache:
    """A bounded cache of statement templates; the key is a text with `?` in place of each name."""

    def __init__(self) -> None:
        self._templates: dict[str, _StatementTemplate] = {}

    def statement(self, text: str) -> Statement | None:
        """Returns the statement of *text* without parsing it, or None if its template is unknown.

        The template is known if `add` was called with a text that differs only in its names.
        """
        cut = _split_names(text)
        template = self._templates.get(cut[0]) if cut is not None else None
        if cut is None or template is None:
            return None
        _, names = cut
        return template.with_names(names)

    def add(self, text: str, statements: Sequence[Statement]) -> None:
        """Adds the template of *text*, which was parsed to *statements*.

        Adds nothing if the cache is full, or if *text* cannot serve as a template.
        """
        cut = _split_names(text)
        if cut is None or len(statements) != 1 or len(self._templates) >= _MAX_TEMPLATES:
            return
        without, names = cut
        values = _template_values(statements[0], names)
        if values is not None:
            self._templates[without] = _StatementTemplate(type(statements[0]), values)


def _split_names(text: str) -> tuple[str, list[str]] | None:
    """Returns *text* with `?` in place of each name, and the list of these names.

    Returns None if *text* holds anything but words, such as a number or a comma. Also returns None
    if *text* holds a name that is a keyword in some places, such as `fill`.
    """
    if _WORDS_PATTERN.fullmatch(text) is None:
        return None
    kept: list[str] = []
    names: list[str] = []
    for word in _WORD_PATTERN.findall(text):
        if word[0] != '"' and is_keyword(word):
            kept.append(word.upper())
        else:
            kept.append("?")
            names.append(word.strip('"'))
    if not _SOFT_KEYWORDS.isdisjoint([name.lower() for name in names]):
        return None
    return " ".join(kept), names


def _template_values(statement: Statement, names: list[str]) -> list[int | Privilege] | None:
    """Returns the field values of *statement*, with the index in *names* in place of each name.

    Returns None if *statement* cannot serve as a template:

    - a field holds a value that is neither a privilege nor one of *names*, or
    - the name in a field occurs twice in *names*, or
    - one of *names* is in no field, or in two fields.
    """
    found: list[int | Privilege] = []
    for field in fields(statement):
        value = getattr(statement, field.name)
        if isinstance(value, Privilege):
            found.append(value)
        elif isinstance(value, str) and names.count(value) == 1:
            found.append(names.index(value))
        else:
            return None
    numbers = [one for one in found if not isinstance(one, Privilege)]
    return found if sorted(numbers) == list(range(len(names))) else None
