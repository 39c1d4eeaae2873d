"""Records which flag, environment variable or file each option came from."""

from collections.abc import Callable, Mapping
from typing import Any


def dashed(key: str) -> str:
    """Returns *key* with `-` for `_`."""
    return key.replace("_", "-")


class OptionSources:
    """Records in `found` the source of each option that is set, by full key.

    A later source replaces an earlier one.
    """

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def add(self, full_key: str, source: str) -> None:
        """Records that *source* sets *full_key*."""
        self.found[full_key] = source

    def move(self, full_key: str, other: str) -> None:
        """Records that *other* was set by way of the option *full_key*, and removes *full_key*.

        The source of *other* then has both, such as `shared-secret-file of headgate.toml`.
        """
        source = self.found.pop(full_key)
        self.found[other] = f"{full_key.partition('.')[2]} of {source}"

    def add_table(
        self,
        full_key: str,
        table: Mapping[str, Any],
        source: str,
        canonical: Callable[[str], str] = dashed,
    ) -> None:
        """Records that *source* sets each option in *table*, also in tables inside *table*.

        *full_key* is the key of *table*. *canonical* returns the option's name for a key, which may
        be an alias.
        """
        for key, value in table.items():
            inner = f"{full_key}.{canonical(key)}"
            if isinstance(value, list) and all(isinstance(one, dict) for one in value) and value:
                for number, one in enumerate(value):
                    self.add_table(f"{inner}[{number}]", one, source, canonical)
            elif isinstance(value, dict):
                self.add_table(inner, value, source, canonical)
            self.add(inner, source)
