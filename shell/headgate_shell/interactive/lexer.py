"""Highlights statements and masks passwords at the prompt. Uses prompt_toolkit's lexers."""

from collections.abc import Callable, Iterator, Mapping

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer

from headgate_grammar import Span, highlight
from headgate_shell.commands.dispatch import is_command
from headgate_shell.go_space import split_words

STYLES = {
    "keyword": "bold ansiblue",
    "name": "",
    "string": "ansigreen",
    "number": "ansicyan",
    "regex": "ansimagenta",
    "parameter": "ansimagenta",
    "symbol": "",
    "comment": "ansibrightblack",
    "wrong": "ansired underline",
}
_BETWEEN_NAME_AND_PASSWORD = ("FOR", "=")


class InfluxqlLexer(Lexer):
    """Styles each kind of token, such as keywords and names; other text stays plain.

    *styles* are prompt_toolkit's styles by kind of token. Passwords are masked with asterisks, also
    if *styles* is empty.
    """

    def __init__(self, styles: Mapping[str, str]) -> None:
        self._styles = styles

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """Returns a function from a line number to the styled fragments of that line."""
        lines = list(self._lines(document.text))
        return lambda number: lines[number] if number < len(lines) else []

    def _lines(self, text: str) -> Iterator[StyleAndTextTuples]:
        line: StyleAndTextTuples = []
        for style, part in self._fragments(text):
            first, *others = part.split("\n")
            line.append((style, first))
            for other in others:
                yield line
                line = [(style, other)]
        yield line

    def _fragments(self, text: str) -> Iterator[tuple[str, str]]:
        if is_command(text):
            yield "", _mask_login(text)
            return
        end = 0
        password_expected = False
        for piece in highlight(text):
            yield "", text[end : piece.start]
            written = text[piece.start : piece.stop]
            word = written.upper()
            if password_expected and written.startswith("'"):
                yield self._style(piece), "".join("*" if c != "\n" else c for c in written)
            else:
                yield self._style(piece), written
            password_expected = word == "PASSWORD" or (
                password_expected and (word in _BETWEEN_NAME_AND_PASSWORD or piece.kind == "name")
            )
            end = piece.stop
        yield "", text[end:]

    def _style(self, piece: Span) -> str:
        return self._styles.get(piece.kind, "")


def _mask_login(line: str) -> str:
    """Returns *line*, with asterisks for all that follows the name in `auth NAME PASSWORD`."""
    words = split_words(line, 3)
    if len(words) < 3 or words[0].lower() != "auth":
        return line
    shown = line[: len(line) - len(words[2])]
    return shown + "*" * len(words[2])
