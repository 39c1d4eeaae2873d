"""InfluxDB's meta.db: what is read from it, and which files are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.meta_db import (
    InvalidMetaFile,
    MetaData,
    MetaDatabase,
    MetaPolicy,
    MetaUser,
    encode_meta,
    parse_meta,
)

# Written by InfluxDB 1.6.7 without users and databases.
EMPTY = bytes.fromhex("0800100118a4c2d0d78aa9a0b25d380040004800")
HASH = "$2a$10$" + "a" * 53
DATA = MetaData(
    [
        MetaDatabase("telegraf", "autogen", [MetaPolicy("autogen", 0, 604_800 * 10**9, 1)]),
        MetaDatabase("é \"'", "week", [MetaPolicy("week", 604_800 * 10**9, 86_400 * 10**9, 2)]),
    ],
    [
        MetaUser("root", HASH, True, {}),
        MetaUser("日本 \\ \"'", HASH, False, {"telegraf": 1, "é \"'": 0, "gone": 3}),
    ],
)
TEXTS = st.text(max_size=8)
NUMBERS = st.integers(0, 2**63 - 1)


def test_a_file_of_influxd_without_users_is_read() -> None:
    assert parse_meta(EMPTY) == MetaData([], [])


def test_what_is_written_is_read_back() -> None:
    assert parse_meta(encode_meta(DATA)) == DATA


@pytest.mark.slow
@given(
    st.builds(
        MetaData,
        st.lists(
            st.builds(
                MetaDatabase,
                TEXTS,
                TEXTS,
                st.lists(st.builds(MetaPolicy, TEXTS, NUMBERS, NUMBERS, NUMBERS), max_size=2),
            ),
            max_size=3,
        ),
        st.lists(
            st.builds(
                MetaUser, TEXTS, TEXTS, st.booleans(), st.dictionaries(TEXTS, st.integers(0, 3))
            ),
            max_size=3,
        ),
    )
)
def test_any_data_is_read_back(data: MetaData) -> None:
    assert parse_meta(encode_meta(data)) == data


def test_a_base_keeps_all_but_its_users() -> None:
    shards = encode_meta(DATA) + bytes.fromhex("5202abcd")  # field 10, of which nothing is known
    other = MetaData(
        [DATA.databases[0], MetaDatabase("new", "autogen", DATA.databases[0].policies)],
        [MetaUser("ann", HASH, True, {"new": 1})],
    )
    merged = encode_meta(other, shards)
    assert parse_meta(merged) == MetaData([*DATA.databases, other.databases[1]], other.users)
    assert bytes.fromhex("5202abcd") in merged
    with pytest.raises(InvalidMetaFile):
        encode_meta(other, shards[:9])


def test_no_part_of_a_file_passes_for_the_whole() -> None:
    for content in (EMPTY, encode_meta(DATA), encode_meta(DATA, EMPTY)):
        for length in range(len(content)):
            with pytest.raises(InvalidMetaFile):
                parse_meta(content[:length])


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read_but_never_a_fault(content: bytes) -> None:
    try:
        parse_meta(content)
    except InvalidMetaFile:
        pass


def test_a_hash_is_in_no_repr() -> None:
    assert "$2a$" not in repr(DATA)
