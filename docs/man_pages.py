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
_OPTIONS = "HEADGATE_SECTION_OPTION sets an option, such as HEADGATE_HTTP_BIND_ADDRESS."
# What a parser does not know, by command: sections of terms, each with its text.
SECTIONS: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {
    "serve": {
        "SIGNALS": (
            ("SIGTERM, SIGINT", "end: running requests are finished; a second one aborts them"),
            ("SIGHUP", "read the configuration of tokens and gateway, and certificates, again"),
            ("SIGUSR1", "write the stacks of all threads to standard error"),
        ),
        "ENVIRONMENT": (
            ("HEADGATE_...", _OPTIONS),
            ("HEADGATE_ADMIN_USER, HEADGATE_ADMIN_PASSWORD", "the first administrator"),
        ),
        "FILES": (
            ("headgate.toml", "a configuration file, which --config names: docs/settings.md"),
            ("headgate.db", "the user store in the working folder, unless [store] path names it"),
        ),
        "EXIT STATUS": (
            ("0", "after a signal to end"),
            ("1", "invalid configuration, a store that cannot be used, or aborted requests"),
            ("2", "invalid flags"),
        ),
        "EXAMPLES": (
            ("headgate serve --bind 127.0.0.1:8087 --store users.db", "a server without a gateway"),
            ("headgate serve --config headgate.toml --check --connect", "check it, do not serve"),
        ),
    },
    "init": {
        "EXAMPLES": (
            ("headgate init --store users.db --admin root", "asks for the password of root"),
        ),
    },
    "login": {
        "FILES": (
            ("~/.local/share/headgate/sessions", "the sessions, if no keyring keeps them"),
        ),
        "EXAMPLES": (
            ("headgate login https://headgate.example:443 --user root", "by a password"),
            ("headgate key list --server https://headgate.example:443", "uses the session"),
        ),
    },
    "shell": {
        "FILES": (
            ("~/.config/headgate/shell.toml", "settings and profiles: docs/shell.md"),
        ),
        "ENVIRONMENT": (
            ("INFLUX_USERNAME, INFLUX_PASSWORD", "the login"),
            ("HEADGATE_TOKEN", "a token in place of the login"),
        ),
    },
    "key": {
        "EXAMPLES": (
            ("headgate key create --user agents --name eu --ttl 90d --store users.db", "a key"),
            ("headgate key rotate 1 --grace 1h --store users.db", "a new text for the key 1"),
            ("headgate key check --store users.db < key", "what is in the file, and its rights"),
        ),
    },
    "user": {
        "EXAMPLES": (
            ("headgate user add agents --no-password --role Agent --databases telegraf --store"
             " users.db", "a service account"),
            ("headgate user disable todd --store users.db", "ends every way to log in"),
        ),
    },
    "import": {
        "EXAMPLES": (
            ("headgate import influxdb meta.db --store users.db --dry-run", "lists the changes"),
        ),
    },
    "apply": {
        "EXAMPLES": (
            ("headgate apply state.toml --store users.db --dry-run", "lists the changes"),
            ("headgate apply state.toml --url http://127.0.0.1:8086 --username root", "by HTTP"),
        ),
    },
    "audit": {
        "EXAMPLES": (
            ("headgate audit --store users.db --since 1d --outcome refused", "refusals of a day"),
            ("headgate audit --server http://127.0.0.1:8086 --follow", "new records, from afar"),
        ),
    },
    "store": {
        "EXAMPLES": (
            ("headgate store backup users.db backup.db", "also while a server runs"),
            ("headgate store check users.db", "says whether the file is whole"),
        ),
    },
}  # fmt: skip


def pages() -> dict[str, str]:
    """Returns the text of each page by the name of its file."""
    tree = command_tree()
    found = {"headgate.1": _verbatim("headgate", SUMMARY, usage())}
    for node in tree.commands:
        name = f"headgate-{node.words[0]}"
        is_shell = node.words == ("shell",)
        text = _verbatim(name, node.help, USAGE) if is_shell else _page(name, node)
        found[f"{name}.1"] = text + _more(node.words[0])
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
    return "\n".join([*lines, ""])


def _more(command: str) -> str:
    """Returns the sections that the parser does not know, and the last one."""
    lines = []
    for title, terms in SECTIONS.get(command, {}).items():
        lines.append(f".SH {title}")
        for term, text in terms:
            lines += [".TP", f"\\fB{_escaped(term)}\\fR", _escaped(text)]
    return "\n".join([*lines, ".SH SEE ALSO", "headgate(1)", ""])


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
