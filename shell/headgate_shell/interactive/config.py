"""What a person set for good: `shell.toml` in the folder where programs keep such things.

Never read for scripts. Knows platformdirs.
"""

import os
import string
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from prompt_toolkit.styles import Style

from headgate_shell.commands.settings import FORMATS
from headgate_shell.interactive.lexer import STYLES

PLACES = ("user", "host", "port", "database", "store")


@dataclass(frozen=True, slots=True)
class Config:
    """Defaults are what holds without a file.

    *format* is "" where the file does not say. *prompt* may have the names in `PLACES` in braces.
    *style* are prompt_toolkit's styles for the grammar's kinds of words.
    """

    keys: str = "emacs"
    prompt: str = "> "
    format: str = ""
    history_length: int = 10_000
    timing: bool = False
    pager: bool = True
    toolbar: bool = True
    style: Mapping[str, str] = field(default_factory=lambda: STYLES)


def config_path() -> Path:
    """`$HEADGATE_SHELL_CONFIG`, or `shell.toml` where the system keeps a user's settings."""
    named = os.environ.get("HEADGATE_SHELL_CONFIG")
    return Path(named) if named else user_config_path("headgate") / "shell.toml"


def read_config(path: Path) -> tuple[Config, list[str]]:
    """The settings in the file *path*, and a line for each that cannot be; its default holds.

    Without a file, the defaults.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return Config(), []
    except OSError as error:
        return Config(), [f"{path}: {error.strerror}"]
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        return Config(), [f"{path}: no TOML: {error}"]
    config, wrong = Config(), []
    for key, value in content.items():
        try:
            if key not in _KEYS:
                raise ValueError(f"no such setting; there are {', '.join(_KEYS)}")
            name = key.replace("-", "_")
            config = replace(config, **{name: _KEYS[key](value)})
        except ValueError as error:
            wrong.append(f"{path}: {key}: {error}")
    return config, wrong


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def checked(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"expected {', '.join(allowed)}")
        return str(value)

    return checked


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _length(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
        raise ValueError("expected 0 to 1000000")
    return value


def _prompt(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")
    for _, name, form, conversion in string.Formatter().parse(value):
        if name is not None and (name not in PLACES or form or conversion):
            raise ValueError(f"in braces only {', '.join(PLACES)}")
    return value


def _style(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not value.keys() <= STYLES.keys():
        raise ValueError(f"expected a table with {', '.join(STYLES)}")
    for name, style in value.items():
        try:
            Style.from_dict({name: style})
        except (ValueError, AttributeError, TypeError):
            raise ValueError(f"{name}: no style: {style!r}") from None
    return STYLES | value


_KEYS: dict[str, Callable[[Any], Any]] = {
    "keys": _one_of("emacs", "vi"),
    "prompt": _prompt,
    "format": _one_of(*FORMATS),
    "history-length": _length,
    "timing": _boolean,
    "pager": _boolean,
    "toolbar": _boolean,
    "style": _style,
}
