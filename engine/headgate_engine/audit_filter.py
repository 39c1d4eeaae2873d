"""Chooses records of the audit: by author, by what the statement names, by kind and outcome."""

import re
from dataclasses import dataclass

from headgate_engine.model.audit import FORWARDED, AuditRecord
from headgate_grammar import quote_identifier

# A name as the canonical text of a statement has it, and a word before it.
_WORD = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\w+""")
_BEFORE_DATABASE = ("ON", "DATABASE")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What a record must have; "" accepts all.

    - *user*: its author.
    - *target*: a user, key or other thing, but no database, that its statement names.
    - *database*: a database that its statement names.
    - *kind*: the words with which its statement begins, such as `GRANT` or `CREATE USER`; or for
      what is no statement `login`, `key`, `session` and so on. Upper and lower case are the same.
    - *outcome*: `ok`, `forwarded`, `refused` for all others, or a part of the outcome.
    - *since*: its earliest time, in RFC 3339.
    """

    user: str = ""
    target: str = ""
    database: str = ""
    kind: str = ""
    outcome: str = ""
    since: str = ""

    def accepts(self, record: AuditRecord) -> bool:
        """Returns whether *record* has all of it."""
        if record.time < self.since or self.user not in ("", record.actor):
            return False
        if self.outcome and not _has_outcome(record, self.outcome):
            return False
        if self.kind and not f"{_bare(record)} ".upper().startswith(f"{self.kind} ".upper()):
            return False
        if not (self.target or self.database):
            return True
        targets, databases = _named(record.statement)
        databases |= _named(record.outcome)[1]  # requires READ on db
        return (not self.target or quote_identifier(self.target) in targets) and (
            not self.database or quote_identifier(self.database) in databases
        )


def audit_kind(record: AuditRecord) -> str:
    """Returns the kind of *record*: two words of its statement, or one of what is no statement."""
    words = _bare(record).split()
    return " ".join(words[:1] if record.statement.startswith("-- ") else words[:2])


def _bare(record: AuditRecord) -> str:
    return record.statement.removeprefix("-- ")


def _has_outcome(record: AuditRecord, outcome: str) -> bool:
    match outcome:
        case "ok":
            return record.outcome == "ok"
        case "forwarded":
            return record.outcome == FORWARDED
        case "refused":
            return record.outcome not in ("ok", FORWARDED)
        case _:
            return outcome.lower() in record.outcome.lower()


def _named(statement: str) -> tuple[set[str], set[str]]:
    """Returns the words of *statement* that may be names, and those that are of databases."""
    targets: set[str] = set()
    databases: set[str] = set()
    before = ""
    for word in _WORD.findall(statement):
        if not word.startswith("'"):  # else a value, and no name
            (databases if before.upper() in _BEFORE_DATABASE else targets).add(word)
        before = word
    return targets, databases
