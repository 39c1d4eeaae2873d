"""Searches the sources for words that CONTRIBUTING.md forbids, and for names with such words."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from support.places import REPOSITORY

MAX_WORDS = 10
FOLDERS = ("grammar", "engine", "server", "shell", "tests", "benchmarks", "examples", "docs")
DEFINITIONS = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
WORDS = re.compile(
    r"\b(who|whom|whoever|whomever|nobody|somebody|anybody|everybody|someone|anyone"
    r"|everyone|no one|he|him|his|himself)\b",
    re.IGNORECASE,
)
# The same kind of words as parts of identifiers, between underscores.
NAMES = re.compile(
    r"(?:^|_)(who|whom|nobody|somebody|anybody|everybody|he|him|his)(?:_|$)", re.IGNORECASE
)
DEFINITION = re.compile(r"^ *(?:async )?(?:def|class) (\w+)", re.MULTILINE)


def sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((REPOSITORY / folder).rglob("*.py"))


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the comments and docstrings of a source file, with their line numbers.

    A file without any of the words has none to yield: parsing takes most of the time.
    """
    text = path.read_text("utf-8")
    if not WORDS.search(text):
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, DEFINITIONS | ast.Module):
            continue
        if (docstring := ast.get_docstring(node, clean=False)) is not None:
            yield node.body[0].lineno, docstring
    if not any(WORDS.search(line.partition("#")[2]) for line in text.splitlines()):
        return  # without such a comment, the slow tokenizer is not needed
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def test_docstrings_and_comments_speak_of_things_clients_and_users() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {match[0]}"
        for path in sources()
        if path != Path(__file__)
        for line, text in prose(path)
        for match in WORDS.finditer(text)
    ]
    assert len(found) <= MAX_WORDS, "\n".join(found)


def test_names_speak_of_things_clients_and_users() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in sources()
        for name in DEFINITION.findall(path.read_text("utf-8"))
        if NAMES.search(name)
    ]
    assert not found, "\n".join(found)
