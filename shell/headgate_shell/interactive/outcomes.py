"""What a person at the terminal reads beside the response: success, suggestions, titles."""

from difflib import get_close_matches

from headgate_grammar import ParseError, Statement, parse, redact_urls
from headgate_shell.backends.base import Response

_DONE = {
    "CREATE": "created",
    "DROP": "dropped",
    "GRANT": "granted",
    "REVOKE": "revoked",
    "SET": "password set",
    "ALTER": "changed",
    "DELETE": "deleted",
    "KILL": "ended",
}


def statements_of(text: str) -> list[Statement]:
    """Returns the statements of *text*; [] if this shell's grammar lacks one."""
    try:
        return list(parse(text))
    except ParseError:
        return []


def success(statements: list[Statement], response: Response) -> str:
    """Returns a line for each of *statements* that has changed something, such as `granted`.

    Equal lines that follow each other become one.
    """
    lines: list[str] = []
    for statement, result in zip(statements, response.results, strict=False):
        word = _DONE.get(str(statement).partition(" ")[0])
        if word is None or result.get("series") or "error" in result or "messages" in result:
            continue
        if not lines or lines[-1] != word:
            lines.append(word)
    return "" if response.error else "".join(f"{line}\n" for line in lines)


def suggestion(text: str) -> str:
    """Returns `Did you mean GRANT?` for a text with a misspelt word, or ""."""
    try:
        parse(text)
    except ParseError as error:
        words = [word for word in error.expected if word.isalpha()]
        near = get_close_matches(error.found.upper(), words, 1, 0.6) if error.found else []
        return f"Did you mean {near[0]}?\n" if near else ""
    return ""


def titles(statements: list[Statement], response: Response) -> list[str]:
    """Returns the text of the statement of each result; [] unless there are several."""
    if len(statements) < 2 or len(response.results) != len(statements):
        return []
    return [redact_urls(str(statement)) for statement in statements]
