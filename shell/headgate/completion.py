"""`headgate completion`: prints what makes bash, zsh or fish complete commands and flags."""

from collections.abc import Callable, Sequence

from headgate.command_tree import Flag, Node, command_tree
from headgate.flags import CommandParser

# What may follow the words of a command, which are the argument.
_TABLES = """\
_headgate_commands() {
    case "$1" in
@COMMANDS@
    esac
}
_headgate_flags() {
    case "$1" in
@FLAGS@
    esac
}
"""
_BASH = """\
# Completions of headgate for bash: source this file, or save it as
# ~/.local/share/bash-completion/completions/headgate
_headgate() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} chosen="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case " $(_headgate_commands "$chosen") " in
            *" ${COMP_WORDS[i]} "*) chosen="$chosen ${COMP_WORDS[i]}" ;;
        esac
    done
    case "$chosen $before" in
@VALUES@
    esac
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$(_headgate_flags "$chosen")" -- "$word"))
        return
    fi
    COMPREPLY=($(compgen -W "$(_headgate_commands "$chosen")" -- "$word"))
    case "$chosen" in
@FILES@
    esac
}
_headgate_files() {
    local files
    mapfile -t files < <(compgen -f -- "$word")
    COMPREPLY+=("${files[@]}")
    compopt -o filenames 2>/dev/null
}
@TABLES@complete -F _headgate headgate
"""
_ZSH = """\
#compdef headgate
# Completions of headgate for zsh: save this file as _headgate in a folder of $fpath.
_headgate() {
    local chosen="" i
    local -a commands flags
    for ((i = 2; i < CURRENT; i++)); do
        commands=(${(f)"$(_headgate_commands "$chosen")"})
        [[ -n ${(M)commands:#${words[i]}:*} ]] && chosen="$chosen ${words[i]}"
    done
    case "$chosen ${words[CURRENT-1]}" in
@VALUES@
    esac
    if [[ ${words[CURRENT]} == -* ]]; then
        flags=(${(f)"$(_headgate_flags "$chosen")"})
        _describe flag flags
        return
    fi
    commands=(${(f)"$(_headgate_commands "$chosen")"})
    _describe command commands
    case "$chosen" in
@FILES@
    esac
}
@TABLES@if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _headgate "$@"
else
    compdef _headgate headgate
fi
"""


def command_parser() -> CommandParser:
    """Returns the parser of the flags of `headgate completion`."""
    parser = CommandParser(
        prog="headgate completion",
        description="Print completions: source <(headgate completion bash)",
    )
    parser.add_argument("shell", choices=sorted(_SHELLS), help="the shell to complete in")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs `headgate completion SHELL`; returns the exit status."""
    flags = command_parser().parse(arguments)
    print(_SHELLS[flags.shell](command_tree()), end="")
    return 0


def _bash(tree: Node) -> str:
    return _filled(
        _BASH,
        VALUES=_value_cases(tree, _bash_value),
        FILES=_cases(tree, lambda it: "_headgate_files" if it.takes_file else ""),
        COMMANDS=_cases(tree, lambda it: _echo([word for word, _ in it.next_words])),
        FLAGS=_cases(tree, lambda it: _echo([name for flag in it.flags for name in flag.names])),
    )


def _cases(tree: Node, action: Callable[[Node], str]) -> list[str]:
    """Returns a branch of a `case` for each command that has an *action*."""
    found = [(node, action(node)) for node in tree.all()]
    return [f"        {_case(node)}) {text} ;;" for node, text in found if text]


def _value_cases(tree: Node, action: Callable[[Flag], str]) -> list[str]:
    """Returns a branch of a `case` for each flag with a value: the *action* after that flag."""
    return [
        f"        {_pattern(node, flag)}) {action(flag)}; return ;;"
        for node in tree.all()
        for flag in node.flags
        if flag.value
    ]


def _echo(words: Sequence[str]) -> str:
    return f"echo {' '.join(words)}" if words else ""


def _bash_value(flag: Flag) -> str:
    if flag.choices:
        return f"""COMPREPLY=($(compgen -W "{" ".join(flag.choices)}" -- "$word"))"""
    return "_headgate_files" if flag.takes_file else "COMPREPLY=()"


def _zsh(tree: Node) -> str:
    return _filled(
        _ZSH,
        VALUES=_value_cases(tree, _zsh_value),
        FILES=_cases(tree, lambda it: "_files" if it.takes_file else ""),
        COMMANDS=_cases(tree, lambda it: _described(it.next_words)),
        FLAGS=_cases(
            tree,
            lambda it: _described([(name, flag.help) for flag in it.flags for name in flag.names]),
        ),
    )


def _zsh_value(flag: Flag) -> str:
    if flag.choices:
        return f"compadd -- {' '.join(map(_quoted, flag.choices))}"
    return "_files" if flag.takes_file else "_message value"


def _described(pairs: Sequence[tuple[str, str]]) -> str:
    """Returns what prints a line `name:help` for each of *pairs*, for zsh's `_describe`."""
    words = [_quoted(f"{name}:{help}") for name, help in pairs]
    return f"print -rl -- {' '.join(words)}" if words else ""


def _fish(tree: Node) -> str:
    below = [node for node in tree.all() if node.words]
    lines = [
        "# Completions of headgate for fish: save this file as",
        "# ~/.config/fish/completions/headgate.fish",
        "function __headgate_path",
        "    set -l path",
        "    for word in (commandline -opc)[2..]",
        "        if contains -- (string join -- ' ' $path $word) $__headgate_paths",
        "            set -a path $word",
        "        end",
        "    end",
        "    string join -- ' ' $path",
        "end",
        "function __headgate_at",
        "    set -l path (__headgate_path)",
        '    test "$path" = "$argv[1]"',
        "end",
        f"set -g __headgate_paths {' '.join(_quoted(' '.join(it.words)) for it in below)}",
        "complete -c headgate -f",
    ]
    for node in tree.all():
        here = f"-n '__headgate_at \"{' '.join(node.words)}\"'"
        for word, help in node.next_words:
            lines.append(f"complete -c headgate {here} -a {_quoted(word)} -d {_quoted(help)}")
        if node.takes_file:
            lines.append(f"complete -c headgate {here} -F")
        lines += [f"complete -c headgate {here} {_fish_flag(flag)}" for flag in node.flags]
    return "\n".join(lines) + "\n"


def _fish_flag(flag: Flag) -> str:
    words = []
    for name in flag.names:
        kind = "-l" if name.startswith("--") else "-s" if len(name) == 2 else "-o"
        words.append(f"{kind} {name.lstrip('-')}")
    if flag.value:
        words.append("-r -F" if flag.takes_file else "-x")
    if flag.choices:
        words.append(f"-a {_quoted(' '.join(flag.choices))}")
    return f"{' '.join(words)} -d {_quoted(flag.help)}"


def _case(node: Node) -> str:
    """Returns the pattern of a `case` for the words of *node*, each after a space."""
    return _quoted("".join(f" {word}" for word in node.words))


def _pattern(node: Node, flag: Flag) -> str:
    """Returns the pattern of a `case` for *flag* as the last of the words of *node*."""
    start = "".join(f" {word}" for word in node.words)
    names = {one for name in flag.names for one in (name, f"-{name.lstrip('-')}")}
    return "|".join(_quoted(f"{start} {name}") for name in sorted(names))


def _quoted(text: str) -> str:
    """Returns *text* as one word of each of the shells, without backslashes."""
    return "'" + text.replace("\\", "").replace("'", "'\\''") + "'"


def _filled(script: str, **parts: Sequence[str]) -> str:
    script = script.replace("@TABLES@", _TABLES)
    for name, lines in parts.items():
        script = script.replace(f"@{name}@", "\n".join(lines))
    return script


_SHELLS: dict[str, Callable[[Node], str]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}
