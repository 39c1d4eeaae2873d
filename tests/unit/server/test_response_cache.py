"""The cache of responses to queries: which users share an entry, and what is not kept."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from headgate_engine import UNRESTRICTED, NotAuthorized, Principal
from headgate_engine.model.user import User
from headgate_server.api.response_cache import ResponseCache
from headgate_server.http.response import Response
from headgate_server.query.prepared import PreparedQuery
from headgate_server.telemetry.metrics import Metrics


@dataclass
class Context:
    """Counts the statements that were answered from the cache."""

    counted: list[tuple[str, ...]] = field(default_factory=list)

    def count_statements(self, names: tuple[str, ...]) -> None:
        self.counted.append(names)


class Snapshot(dict[Any, Any]):
    """A snapshot of a user store: `dict.get` and `dict.__setitem__` under their names there."""

    cached, cache = dict.get, dict.__setitem__


def user(name: str, *, admin: bool = False) -> Principal:
    return Principal(User(f"id of {name}", name, "hash", admin, {}), "password")


PREPARED = PreparedQuery({}, {}, (), cached=True, statement_names=("ShowUsers",))
DENIED = NotAuthorized("ann", "SHOW USERS", "admin privilege")


def test_all_with_full_access_share_an_entry_and_each_user_has_one() -> None:
    snapshot, context = Snapshot(), Context()
    root, other, ann, bob = user("r", admin=True), user("o", admin=True), user("ann"), user("bob")

    def found(principal: Principal) -> Response | None:
        cache = ResponseCache(cast(Any, snapshot), PREPARED, principal)
        return cache.get(cast(Metrics, context))

    whole, own = Response(b"all"), Response(b"ann's")
    ResponseCache(cast(Any, snapshot), PREPARED, root).put(whole)
    ResponseCache(cast(Any, snapshot), PREPARED, ann).put(own)
    assert [found(each) for each in (root, other, UNRESTRICTED)] == [whole] * 3
    assert found(ann) is own and found(bob) is None
    assert context.counted == [("ShowUsers",)] * 4


def test_a_denial_is_raised_again_and_its_first_error_is_not_kept() -> None:
    snapshot = Snapshot()
    cache = ResponseCache(cast(Any, snapshot), PREPARED, user("ann"))
    cache.put_denial(DENIED)
    for _ in range(2):
        with pytest.raises(NotAuthorized) as raised:
            cache.get(cast(Metrics, Context()))
        assert str(raised.value) == str(DENIED) and raised.value is not DENIED
    # A traceback would hold the request and its login.
    assert not any(isinstance(value, BaseException) for value in snapshot.values())


@pytest.mark.parametrize(("size", "kept"), [(1 << 14, True), ((1 << 14) + 1, False)])
def test_a_large_response_is_not_kept(size: int, kept: bool) -> None:
    cache = ResponseCache(cast(Any, Snapshot()), PREPARED, UNRESTRICTED)
    cache.put(Response(b"x" * size))
    assert (cache.get(cast(Metrics, Context())) is not None) is kept
