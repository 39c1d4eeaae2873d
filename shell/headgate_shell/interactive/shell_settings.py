"""Reads `shell.toml`, the user's settings for the interactive shell. Uses platformdirs.

Scripts never read it.
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

PROMPT_FIELDS = ("user", "host", "port", "database", "store")


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of `shell.toml`. The defaults apply if there is no file.

    *format* is "" if the file does not set it. *prompt* may contain the names in `PROMPT_FIELDS` in
    braces. *style* maps kinds of tokens to prompt_toolkit styles.
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
    """Returns `$HEADGATE_SHELL_CONFIG`, or `shell.toml` in the user's configuration directory."""
    named = os.environ.get("HEADGATE_SHELL_CONFIG")
    return Path(named) if named else user_config_path("headgate") / "shell.toml"


def read_config(path: Path) -> tuple[Config, list[str]]:
    """Returns the settings in the file *path*, and a line of text for each invalid setting.

    An invalid setting keeps its default; without the file, all settings keep their defaults.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return Config(), []
    except OSError as error:
        return Config(), [f"{path}: {error.strerror}"]
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        return Config(), [f"{path}: invalid TOML: {error}"]
    config, errors = Config(), []
    content.pop("profiles", None)  # for the flag -profile
    for key, value in content.items():
        try:
            if key not in _VALIDATORS:
                raise ValueError(f"unknown setting; expected one of {', '.join(_VALIDATORS)}")
            name = key.replace("-", "_")
            config = replace(config, **{name: _VALIDATORS[key](value)})
        except ValueError as error:
            errors.append(f"{path}: {key}: {error}")
    return config, errors


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def checked(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"expected {', '.join(allowed)}")
        return str(value)

    return checked


def _check_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _check_history_length(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
        raise ValueError("expected 0 to 1000000")
    return value


def _check_prompt(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a string")
    for _, name, form, conversion in string.Formatter().parse(value):
        if name is not None and (name not in PROMPT_FIELDS or form or conversion):
            raise ValueError(f"in braces only {', '.join(PROMPT_FIELDS)}")
    return value


def _check_style(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or not value.keys() <= STYLES.keys():
        raise ValueError(f"expected a table with {', '.join(STYLES)}")
    for name, style in value.items():
        try:
            Style.from_dict({name: style})
        except (ValueError, AttributeError, TypeError):
            raise ValueError(f"{name}: invalid style: {style!r}") from None
    return STYLES | value


_VALIDATORS: dict[str, Callable[[Any], Any]] = {
    "keys": _one_of("emacs", "vi"),
    "prompt": _check_prompt,
    "format": _one_of(*FORMATS),
    "history-length": _check_history_length,
    "timing": _check_boolean,
    "pager": _check_boolean,
    "toolbar": _check_boolean,
    "style": _check_style,
}
