"""The dialects of InfluxQL: what InfluxDB 1.12 parses beyond 1.8, and which words errors list."""

from collections.abc import Sequence
from typing import Literal, get_args

# "" accepts what either version accepts. If both reject a text, the error is that of 1.8.
Dialect = Literal["", "1.8", "1.12"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

# Names that InfluxDB 1.12 reserves as keywords, with the terminals of the grammar for them.
NEW_KEYWORDS: dict[str, Sequence[str]] = {
    "future": ("FUTURE",),
    "past": ("PAST",),
    "verbose": ("VERBOSE", "EXPLAIN_VERBOSE"),
}
# Terminals that only 1.12 has: of keywords, and of `*` and `.` in SHOW MEASUREMENTS ON.
NEW_TERMINALS = frozenset({"FUTURE", "PAST", "EXPLAIN_VERBOSE", "ANY_NAME", "POLICY_DOT"})
# The terminals that signs get where the grammar accepts these terminals.
NEW_SIGNS = {"STAR": "ANY_NAME", ".": "POLICY_DOT", "DOT": "POLICY_DOT"}
