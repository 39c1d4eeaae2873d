"""The syntax of statements as text, from the grammar itself."""

import re
from functools import lru_cache
from importlib import resources

_RULE = re.compile(r"^\??([a-z_]+)(?:\.\d+)?:(.*(?:\n[ \t]+\|.*)*)", re.MULTILINE)
_NAME = re.compile(r"\b[a-z_]{2,}\b")
_ALIAS = re.compile(r"->\s*\w+")
_COMMENT = re.compile(r"//.*")
_MAX_EXPLAINED = 8


def statement_syntax(words: str) -> list[str]:
    """Returns a line for each statement that begins with *words*, then the parts that it names.

    *words* may be in lower case; "" chooses all statements. A line is `GRANT privilege ON IDENT TO
    IDENT`; a part is `  privilege: READ | WRITE | ALL [PRIVILEGES]`. [] if no statement begins so.
    """
    rules = _rules()
    statements = [rules[name] for name in _NAME.findall(rules["statement"])]
    wanted = " ".join(words.upper().split())
    found = [text for rule in statements for text in _alternatives(rule) if _begins(text, wanted)]
    if not wanted or not found:
        return sorted(found)
    parts: dict[str, None] = {}
    waiting = _NAME.findall(" ".join(found))
    while waiting and len(parts) < _MAX_EXPLAINED:
        name = waiting.pop(0)
        if name in rules and name not in parts:
            parts[name] = None
            waiting += _NAME.findall(rules[name])
    return [*found, *(f"  {name}: {rules[name]}" for name in parts)]


@lru_cache(1)
def _rules() -> dict[str, str]:
    """Returns the right side of each rule by its name, on one line and without quotes."""
    text = resources.files("headgate_grammar").joinpath("influxql.lark").read_text("utf-8")
    text = _COMMENT.sub("", text)
    return {
        name: " ".join(_ALIAS.sub("", right).replace('"', "").split())
        for name, right in _RULE.findall(text)
    }


def _alternatives(rule: str) -> list[str]:
    """Returns the alternatives of *rule* that are not within brackets."""
    parts, depth = [""], 0
    for character in rule:
        depth += (character in "([") - (character in ")]")
        if character == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _begins(text: str, wanted: str) -> bool:
    return f"{text} ".startswith(f"{wanted} ") if wanted else True
