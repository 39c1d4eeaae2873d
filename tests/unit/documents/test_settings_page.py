"""The tables of docs/settings.md are those that the declarations of the options make."""

import importlib.util
import re

from headgate.serve import command_parser
from headgate_server.config.gateway import SHARED_TOKEN_OPTION, SHORT_FORM_OPTIONS
from headgate_server.config.loader import SETTABLE
from support.places import REPOSITORY

PAGE = (REPOSITORY / "docs" / "settings.md").read_text("utf-8")
_PATH = REPOSITORY / "docs" / "settings_tables.py"
_SPEC = importlib.util.spec_from_file_location("settings_tables", _PATH)
assert _SPEC is not None and _SPEC.loader is not None
tables = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tables)


def test_the_tables_are_as_the_code_declares_the_options() -> None:
    assert tables.render(PAGE) == PAGE, "run: make settings-page"


def test_every_option_that_can_be_set_is_in_a_table() -> None:
    shown = [option for options in tables.sections().values() for option in options]
    for option in (*SETTABLE.values(), *SHORT_FORM_OPTIONS, SHARED_TOKEN_OPTION):
        assert option in shown, option.full_key
    assert all(option.doc and "\n" not in option.doc for option in shown)


def test_a_name_in_a_meaning_is_a_known_option_or_value() -> None:
    known = {option.key for options in tables.sections().values() for option in options}
    for options in tables.sections().values():
        for option in options:
            for name in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", option.doc):
                assert name in known or name in map(str, option.among), (option.key, name)


def test_every_flag_of_serve_is_listed() -> None:
    known = set(re.findall(r"(?<!\w)--[\w.-]+\w", command_parser().format_help())) - {"--help"}
    text = PAGE.partition("\n## Flags of `headgate serve`\n")[2]
    assert set(re.findall(r"(?<!\w)--[\w.-]+\w", text)) == known
