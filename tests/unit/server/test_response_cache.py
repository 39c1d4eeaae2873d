"""The cache of responses to queries: whose entries are shared, and what is not kept."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from headgate_engine import UNRESTRICTED, NotAuthorized, Principal
from headgate_engine.model.user import User
from headgate_server.api.response_cache import ResponseCache
from headgate_server.app_context import AppContext
from headgate_server.http.response import Response
from headgate_server.query.prepared import PreparedQuery


@dataclass
class Context:
    """Counts the statements that were answered from the cache."""

    counted: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def metrics(self) -> Any:
        return self

    def count_statements(self, names: tuple[str, ...]) -> None:
        self.counted.append(names)


class Snapshot(dict[Any, Any]):
    """A snapshot of a user store: `dict.get` and `dict.__setitem__` under their names there."""

    cached, cache = dict.get, dict.__setitem__


def user(name: str, *, admin: bool = False) -> Principal:
    return Principal(User(f"id of {name}", name, "hash", admin, {}), "password")


PREPARED = PreparedQuery({}, {}, "", (), cached=True, statement_names=("ShowUsers",))
DENIED = NotAuthorized("ann", "SHOW USERS", "admin privilege")


def test_all_with_full_access_share_an_entry_and_each_user_has_one() -> None:
    snapshot, context = Snapshot(), Context()
    root, other, ann, bob = user("r", admin=True), user("o", admin=True), user("ann"), user("bob")

    def found(principal: Principal) -> Response | None:
        cache = ResponseCache(cast(Any, snapshot), PREPARED, principal)
        return cache.get(cast(AppContext, context))

    whole, own = Response(b"all"), Response(b"ann's")
    ResponseCache(cast(Any, snapshot), PREPARED, root).put(whole)
    ResponseCache(cast(Any, snapshot), PREPARED, ann).put(own)
    assert [found(each) for each in (root, other, UNRESTRICTED)] == [whole] * 3
    assert found(ann) is own and found(bob) is None
    assert context.counted == [("ShowUsers",)] * 4


def test_a_denial_is_raised_again_without_the_frames_of_the_first_time() -> None:
    cache = ResponseCache(cast(Any, Snapshot()), PREPARED, user("ann"))
    cache.put_denial(DENIED)
    depths = []
    for _ in range(3):
        with pytest.raises(NotAuthorized) as raised:
            cache.get(cast(AppContext, Context()))
        depths.append(len(raised.traceback))
    assert len(set(depths)) == 1


@pytest.mark.parametrize(("size", "kept"), [(1 << 14, True), ((1 << 14) + 1, False)])
def test_a_large_response_is_not_kept(size: int, kept: bool) -> None:
    cache = ResponseCache(cast(Any, Snapshot()), PREPARED, UNRESTRICTED)
    cache.put(Response(b"x" * size))
    assert (cache.get(cast(AppContext, Context())) is not None) is kept
