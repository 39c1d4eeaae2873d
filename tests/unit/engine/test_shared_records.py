"""The records, heads and entries of a shared store are read as they were written."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_engine import (
    ApiKey,
    AuditRecord,
    Database,
    KeyScope,
    LinkedIdentity,
    Profile,
    RetentionPolicy,
    Session,
    SessionTokens,
    User,
    UserStatus,
)
from headgate_engine.stores.shared.log import (
    Entry,
    Head,
    decoded_entry,
    decoded_head,
)
from headgate_engine.stores.shared.records import (
    BadRecord,
    DatabaseRecord,
    DroppedRecord,
    KeyRecord,
    Record,
    SessionRecord,
    UsedTokenRecord,
    UserRecord,
    decoded,
    encoded,
)
from headgate_grammar import Privilege

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(0, 2**53)
PRIVILEGES = st.sampled_from(list(Privilege))
BYTES = st.binary(max_size=33)


def built(kind: type, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Returns instances of the dataclass *kind*; *more* are the fields that are no plain values."""
    plain = {str: TEXTS, int: NUMBERS, bytes: BYTES, bool: st.booleans()}
    fields = {
        name: plain[one.type]
        for name, one in kind.__dataclass_fields__.items()  # type: ignore[attr-defined]
        if name not in more and one.type in plain
    }
    return st.builds(kind, **fields, **more)


NOTHING: dict[str, Privilege] = {}
NO_GRANTS = st.just(MappingProxyType(NOTHING))
IDS = st.integers(1, 10**9).map(str)
SCOPES = st.dictionaries(TEXTS, st.tuples(IDS, PRIVILEGES), max_size=3)


def key_record(key: ApiKey, scope: dict[str, tuple[str, Privilege]], admin: bool) -> KeyRecord:
    grants = MappingProxyType({on: privilege for on, (_, privilege) in scope.items()})
    key = replace(key, scope=KeyScope(admin, Privilege.READ, grants), is_shown_by_previous=False)
    return KeyRecord(key, MappingProxyType({on: id for on, (id, _) in scope.items()}))


RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        UserRecord,
        built(User, grants=NO_GRANTS, status=st.sampled_from(UserStatus)),
        st.dictionaries(IDS, PRIVILEGES, max_size=3).map(MappingProxyType),
        built(Profile, has_identity=st.just(False)),
        st.lists(built(LinkedIdentity), max_size=2).map(tuple),
    ),
    st.builds(
        DatabaseRecord,
        built(
            Database,
            policies=st.lists(built(RetentionPolicy), max_size=2).map(tuple),
            exclusive_stores=st.frozensets(TEXTS, max_size=2),
        ),
    ),
    st.builds(key_record, built(ApiKey, scope=st.just(KeyScope())), SCOPES, st.booleans()),
    st.builds(SessionRecord, built(Session), st.none() | built(SessionTokens)),
    st.builds(DroppedRecord, TEXTS, TEXTS, st.floats(0, 1e11)),
    built(UsedTokenRecord),
)


@pytest.mark.slow
@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    text = encoded(record)
    assert decoded(type(record), text) == record
    assert encoded(decoded(type(record), text)) == text


@given(RECORDS, st.data())
def test_a_damaged_record_is_refused_or_read(record: Record, data: st.DataObject) -> None:
    text = encoded(record)
    place = data.draw(st.integers(0, len(text)))
    damaged = text[:place] + data.draw(BYTES) + text[place + data.draw(st.integers(0, 4)) :]
    try:
        assert isinstance(decoded(type(record), damaged), type(record))
    except BadRecord:
        pass


@given(built(Head), st.lists(TEXTS, max_size=3))
def test_a_head_and_an_entry_are_read_as_they_were_written(head: Head, keys: list[str]) -> None:
    assert decoded_head(head.encoded()) == head
    record = AuditRecord(1, 2, "2026-01-01", "root", "::1", "DROP USER x", "ok", 3)
    entry = Entry(head.number, head.txn, head.audit, (record,), tuple(keys), head.revision)
    assert decoded_entry(entry.encoded()) == entry
