"""Caches parsed InfluxQL texts, because clients send the same or similar texts repeatedly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headgate_grammar.ast.statements import Statement
from headgate_grammar.generational_cache import GenerationalCache
from headgate_grammar.parsing.dialects import Dialect
from headgate_grammar.parsing.errors import ParseError
from headgate_grammar.parsing.limits import ParseLimits
from headgate_grammar.parsing.parser import UNLIMITED, StatementCallback, parse
from headgate_grammar.parsing.templates import TemplateCache
from headgate_grammar.parsing.unparse import has_secret

_MAX_TEXT_CHARS = 4096
_MAX_TEMPLATE_CHARS = 256
# A dashboard with an invalid query repeats it. Longer texts are parsed again each time.
_MAX_INVALID_TEXTS, _MAX_INVALID_CHARS = 256, 256


@dataclass(frozen=True, slots=True)
class _InvalidText:
    """The *error* of an invalid text, and the *statements* before the error."""

    statements: Sequence[Statement]
    error: ParseError


class ParseCache:
    """A bounded cache of parsed texts. `cache(text)` returns the statements of *text*.

    The cache parses a new text with `parse`, *limits* and *dialect*. It does not store a text that
    is long, has parameters, or may hold a password. A text that differs from a stored text only in
    its names is not parsed again, see `TemplateCache`. The cache keeps at most *max_texts* texts,
    and 256 invalid ones. It drops texts that were not used recently. Thread-safe.
    """

    def __init__(
        self, max_texts: int = 2048, limits: ParseLimits = UNLIMITED, dialect: Dialect = ""
    ) -> None:
        self._limits = limits
        self.dialect: Dialect = dialect
        self._texts: GenerationalCache[str, tuple[Statement, ...]] = GenerationalCache(max_texts)
        self._templates = TemplateCache()
        self._invalid: GenerationalCache[str, _InvalidText] = GenerationalCache(_MAX_INVALID_TEXTS)

    @property
    def max_statement_chars(self) -> int:
        """The maximum length of a statement in characters; 0 is unlimited."""
        return self._limits.statement_chars

    def cached(self, text: str) -> tuple[Statement, ...] | None:
        """Returns the statements of *text* from the cache, or None if *text* is not cached.

        A text that differs from a cached text only in its names counts as cached.
        """
        if (statements := self._texts.get(text)) is not None:
            return statements
        if self._invalid.get(text) is not None:
            return None
        if len(text) > _MAX_TEMPLATE_CHARS or 0 < self._limits.statement_chars < len(text):
            return None
        statement = self._templates.statement(text)
        return (statement,) if statement is not None else None

    def __call__(
        self,
        text: str,
        parameters: Mapping[str, object] | None = None,
        on_statement: StatementCallback | None = None,
    ) -> tuple[Statement, ...]:
        """Returns the statements of *text*, from the cache if possible and otherwise by parsing.

        *parameters* holds the values of bound parameters by name. *on_statement* is called with
        each statement; if *text* is not cached, it is called before the next statement is parsed.

        Raises:
            ParseError: *text* is invalid or exceeds the limits.
        """
        if parameters:
            return parse(text, parameters, self._limits, on_statement, self.dialect)
        cached = self.cached(text)
        if cached is not None:
            if on_statement is not None:
                for statement in cached:
                    on_statement(statement)
            return cached
        return self.parse_new(text, on_statement)

    def parse_new(
        self, text: str, on_statement: StatementCallback | None = None
    ) -> tuple[Statement, ...]:
        """Returns the statements of *text*, for which `cached` has returned None.

        *on_statement* is called with each statement before the next one is parsed.

        Raises:
            ParseError: *text* is invalid or exceeds the limits.
        """
        statements = self._parse(text, on_statement)
        if len(text) <= _MAX_TEXT_CHARS and not any(map(has_secret, statements)):
            self._templates.add(text, statements)
            self._texts.put(text, statements)
        return statements

    def _parse(self, text: str, on_statement: StatementCallback | None) -> tuple[Statement, ...]:
        """Returns the statements of *text*. Raises a known ParseError without parsing."""
        known = self._invalid.get(text)
        if known is not None:
            if on_statement is not None:
                for statement in known.statements:
                    on_statement(statement)
            raise known.error.without_traceback()
        found: list[Statement] = []

        def add(statement: Statement) -> None:
            found.append(statement)
            if on_statement is not None:
                on_statement(statement)

        try:
            return parse(text, None, self._limits, add, self.dialect)
        except ParseError as error:
            if len(text) <= _MAX_INVALID_CHARS and not _may_have_secret(text):
                self._invalid.put(text, _InvalidText(found, error.without_traceback()))
            raise


def _may_have_secret(text: str) -> bool:
    """Returns whether *text*, which is invalid, may hold a password."""
    return "'" in text or '"' in text or "password" in text.lower()
