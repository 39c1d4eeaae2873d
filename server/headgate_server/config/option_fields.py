"""Declares options of the configuration: each option is a field of a settings dataclass.

The declaration has the type, the limits and the meaning of an option. The configuration file, the
environment, the flags, `headgate serve --print-config` and docs/settings.md all use it.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from enum import Enum
from typing import Any, Literal, get_origin

from headgate_server.config.nearest_name import did_you_mean
from headgate_server.config.text_file import read_text
from headgate_server.config.values import boolean, integer, seconds, text, texts

Read = Callable[[Any], Any]
_MAX_INTEGER = (1 << 63) - 1


class OptionType(Enum):
    """The type of an option's value, as docs/settings.md names it."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    DURATION = "duration"
    STRING = "string"
    LIST = "list"
    TABLE = "table"


_TYPES: dict[Any, OptionType] = {
    bool: OptionType.BOOLEAN,
    int: OptionType.INTEGER,
    float: OptionType.DURATION,
    str: OptionType.STRING,
    tuple: OptionType.LIST,
    Mapping: OptionType.TABLE,
    Literal: OptionType.STRING,
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    - *key*: its name in the configuration file. *section*: the section of the file, if flags and
      environment variables can set the option too.
    - *field*: the field of the settings that holds its value.
    - *doc*: its meaning, in Markdown, for docs/settings.md and `--help`.
    - *least*, *most*: the limits of an integer. *among*: the allowed values; () allows all.
    - *header*: whether the text is sent in an HTTP header, and must be printable ASCII.
    - *octal*: whether the text is a file mode such as 0660.
    - *reader*: converts a value of the file, and raises ValueError. None: the type decides.
    - *secret*: whether the value is never shown. *file_doc*: the meaning of the option `<key>-file`
      for a file with the value; "" if there is no such option.
    - *flag*, *metavar*: the flag of `headgate serve`, and the placeholder of its value.
    - *default_doc*: the default in docs/settings.md, if it is no constant.
    """

    key: str
    field: str
    type: OptionType
    default: Any
    doc: str
    section: str = ""
    least: int = 0
    most: int = _MAX_INTEGER
    among: tuple[str | int, ...] = ()
    header: bool = False
    octal: bool = False
    reader: Read | None = None
    secret: bool = False
    file_doc: str = ""
    flag: str = ""
    metavar: str = ""
    default_doc: str = ""

    @property
    def full_key(self) -> str:
        """The section and the key, such as `http.realm`; without a section, the key alone."""
        return f"{self.section}.{self.key}" if self.section else self.key

    @property
    def variable(self) -> str:
        """The environment variable that sets this option; "" if only the file can set it."""
        return "HEADGATE_" + re.sub("[.-]", "_", self.full_key).upper() if self.section else ""

    def read(self, value: Any) -> Any:
        """Returns *value*, which comes from TOML, converted for the field.

        Raises ValueError for an invalid value, with a text such as `expected true or false`.
        """
        result = (self.reader or _READERS[self.type])(value)
        if self.type is OptionType.INTEGER:
            self._check_limits(result)
        if isinstance(result, str):
            self._check_text(result)
        listed = isinstance(result, tuple)  # the reader has checked its words
        if self.among and not listed and result not in self.among and result != self.default:
            *words, last = map(str, self.among)
            raise ValueError(f"expected {', '.join(words)} or {last}")
        return result

    def _check_limits(self, number: int) -> None:
        if self.least <= number <= self.most:
            return
        if self.most < _MAX_INTEGER:
            raise ValueError(f"expected {self.least} to {self.most}")
        if number > self.most:
            raise ValueError(f"expected at most {self.most}")
        above = f"a whole number above {self.least - 1}" if self.least else "0 or more"
        raise ValueError(f"expected {above}")

    def _check_text(self, value: str) -> None:
        if self.header and not (value.isascii() and value.isprintable()):
            raise ValueError("expected printable ASCII")
        if "\0" in value:
            raise ValueError("expected no NUL character")
        if self.octal and not re.fullmatch("0?[0-7]{3}", value):
            raise ValueError("expected a mode such as 0660")


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected a table")
    return value


_READERS: dict[OptionType, Read] = {
    OptionType.BOOLEAN: boolean,
    OptionType.INTEGER: integer,
    OptionType.DURATION: seconds,
    OptionType.STRING: text,
    OptionType.LIST: texts,
    OptionType.TABLE: _table,
}


def option(doc: str, default: Any = MISSING, *, key: str = "", **declared: Any) -> Any:
    """Returns a dataclass field that declares an option with the meaning *doc*.

    *default* is the value if the option is not set; MISSING: the option is required. *key* is the
    option's key; "": the field's name with `-` for `_`. *declared* are further attributes of
    `Option`.
    """
    metadata = {"doc": doc, "key": key, **declared}
    shown = not declared.get("secret", False)
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, repr=shown, metadata=metadata)
    return dataclasses.field(default=default, repr=shown, metadata=metadata)


# The options of each dataclass, made once.
_OPTIONS: dict[type, Mapping[str, Option]] = {}


def options_of(settings: type) -> Mapping[str, Option]:
    """Returns the options that the fields of the dataclass *settings* declare, by full key.

    Fields that are not made by `option` are left out. An option `<key>-file` names a file with the
    value of the option `<key>`; its `field` is "".
    """
    if settings in _OPTIONS:
        return _OPTIONS[settings]
    found = {}
    for field in dataclasses.fields(settings):
        if "doc" not in field.metadata:
            continue
        declared = {name: value for name, value in field.metadata.items() if name != "key"}
        annotated: Any = field.type
        kind = declared.pop("type", None) or _TYPES[get_origin(annotated) or annotated]
        one = Option(
            field.metadata["key"] or field.name.replace("_", "-"),
            field.name,
            kind,
            {} if kind is OptionType.TABLE else field.default,
            **declared,
        )
        found[one.full_key] = one
        if one.file_doc:
            file = Option(
                f"{one.key}-file", "", OptionType.STRING, "", one.file_doc, section=one.section
            )
            found[file.full_key] = file
    _OPTIONS[settings] = found
    return found


def read_table(settings: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the options in *given*, and returns their values as arguments for *settings*.

    *given* is a TOML table, with `-` for `_` in names. Raises ValueError for an unknown option
    or an invalid value: one line that begins with the option.
    """
    known = options_of(settings)
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise ValueError(f"{key}: unknown option{did_you_mean(key, known)}")
        one = known[key]
        if not one.field:
            one = known[key.removesuffix("-file")]
            if one.key in given:
                raise ValueError(f"{one.key} and {key}: expected one of them")
            value = _read_secret_file(key, value)
        try:
            values[one.field] = one.read(value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    return values


def _read_secret_file(key: str, path: Any) -> str:
    """Returns the secret in the file *path*, which the option *key* names.

    Raises ValueError if the file cannot be read, or is empty.
    """
    try:
        content = read_text(text(path)).strip(" \t\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "invalid UTF-8"
        raise ValueError(f"{key} {path}: {reason}") from None
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    if not content:
        raise ValueError(f"{key} {path}: it is empty")
    return content
