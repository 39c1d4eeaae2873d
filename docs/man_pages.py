"""Writes the manual pages of all commands to shell/man, from the parsers of their flags.

make man-pages
"""

from pathlib import Path

from headgate.command_tree import Flag, Node, command_tree
from headgate.commands import usage
from headgate_engine import VERSION
from headgate_shell.cli import USAGE

FOLDER = Path(__file__).resolve().parents[1] / "shell" / "man"
SUMMARY = "users, grants and logins in front of time-series stores"


def pages() -> dict[str, str]:
    """Returns the text of each page by the name of its file."""
    tree = command_tree()
    found = {"headgate.1": _verbatim("headgate", SUMMARY, usage())}
    for node in tree.commands:
        name = f"headgate-{node.words[0]}"
        is_shell = node.words == ("shell",)
        found[f"{name}.1"] = _verbatim(name, node.help, USAGE) if is_shell else _page(name, node)
    return found


def _head(name: str, summary: str) -> list[str]:
    title = f'.TH {_escaped(name.upper())} 1 "" "headgate {VERSION}" "User Commands"'
    return [title, ".SH NAME", f"{_escaped(name)} \\- {_escaped(summary)}"]


def _verbatim(name: str, summary: str, text: str) -> str:
    """Returns a page that shows *text*, the help of a program, as it is."""
    lines = [_escaped(line) for line in text.splitlines()]
    return "\n".join([*_head(name, summary), ".SH SYNOPSIS", ".nf", *lines, ".fi", ""])


def _page(name: str, node: Node) -> str:
    lines = [*_head(name, node.help), ".SH SYNOPSIS", f".B {_escaped('headgate ' + node.words[0])}"]
    lines.append("COMMAND ..." if node.commands else "[FLAGS] ...")
    if node.commands:
        lines += [".SH COMMANDS"]
        for one in node.commands:
            lines += [".TP", f".B {_escaped(one.words[-1])}", _escaped(one.help)]
    for one in node.all():
        title = "FLAGS" if one is node else f"FLAGS OF {_escaped(' '.join(one.words).upper())}"
        lines += [f".SH {title}", *(part for flag in one.flags for part in _flag(flag))]
    lines += [".SH SEE ALSO", "headgate(1)", ""]
    return "\n".join(lines)


def _flag(flag: Flag) -> list[str]:
    value = f" {flag.value}" if flag.value else ""
    choices = f" ({', '.join(flag.choices)})" if flag.choices else ""
    names = ", ".join(f"\\fB{_escaped(name)}\\fR{_escaped(value)}" for name in flag.names)
    return [".TP", names, _escaped(flag.help + choices)]


def _escaped(text: str) -> str:
    """Returns *text* for roff: no word is taken for an instruction."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def main() -> None:
    """Writes the pages, and removes those of former commands."""
    FOLDER.mkdir(exist_ok=True)
    found = pages()
    for old in FOLDER.glob("*.1"):
        if old.name not in found:
            old.unlink()
    for name, text in found.items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
