"""The work that is done before a query is authorized, and for which clients."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from headgate_engine import AccessDenied, Principal, User
from headgate_grammar import ParseCache, Privilege, Statement
from headgate_server.app_context import AppContext
from headgate_server.config.settings import Settings
from headgate_server.http.errors import Overloaded
from headgate_server.http.request import Request
from headgate_server.query.executor import QueryExecution
from headgate_server.server_status import ServerStatus
from headgate_server.telemetry.metrics import Metrics
from support.gateway_fixtures import ANN, TWO, configured, upstream
from support.raw_upstream import raw_upstream
from support.scripted_upstream import Script
from support.servers import ROOT, Server

TOKENS = 60
# More tokens than the limit of a query.
MANY = "SELECT " + ", ".join(f"f{number}" for number in range(TOKENS)) + " FROM a..m"
TOO_MANY = f"error parsing query: query of more than {TOKENS} words, values and signs"
FIELDS: tuple[dict[str, str], ...] = (
    {},
    {"chunked": "true"},
    {"async": "true"},
    {"params": '{"x": 1}'},
)


@pytest.fixture(params=["alone", "gateway"])
def server(
    request: pytest.FixtureRequest, serve: Callable[..., Server], tmp_path: Path
) -> Iterator[Server]:
    if request.param == "alone":
        yield serve(HEADGATE_HTTP_MAX_TOKENS=str(TOKENS)).bootstrap(*TWO.split(";"))
        return
    with raw_upstream(Script()) as store:
        table = f"[http]\nmax-tokens = {TOKENS}\n" + upstream("influxdb1", urls=[store.url])
        yield configured(serve, tmp_path, table).bootstrap(*TWO.split(";"))


@pytest.mark.slow
def test_a_query_of_too_many_tokens_is_refused_in_influxdbs_form(server: Server) -> None:
    for text in (MANY, f"SHOW DATABASES; {MANY}", f"{MANY}; SHOW USERS", MANY.replace(",", "+")):
        for login in (ANN, ROOT):
            for fields in FIELDS:
                answer = server.query(text, login, db="a", **fields)
                assert answer.status == 400
                assert answer.json.keys() == {"error"}
                assert answer.error.startswith(TOO_MANY) and " at line 1, char " in answer.error
    fewer = MANY.replace(", f59", "").replace(", f1,", ",", 1)
    half = "SELECT " + ", ".join(f"f{number}" for number in range(TOKENS // 2 - 3)) + " FROM a..m"
    assert server.query(fewer, ANN, db="a").status == 400
    assert server.query(half, ANN, db="a").status == 200


DENIED = (
    "SHOW USERS; NONSENSE",
    "SHOW USERS; SELECT",
    "SHOW DATABASES; DROP DATABASE a; NONSENSE '",
    "SELECT v FROM b..m; SELECT v FROM",
    f"SHOW USERS; {MANY}",
    "SELECT v FROM b..m WHERE h =~ /x/; NONSENSE",
    f"SHOW USERS{' ' * 3000}; NONSENSE",
)


@pytest.mark.slow
def test_what_stands_behind_a_denied_statement_is_not_parsed(server: Server) -> None:
    for text in DENIED:
        for fields in FIELDS:
            answer = server.query(text, ANN, db="a", **fields)
            assert answer.status == 403, (text, fields, answer.body)
            assert "error authorizing query: " in answer.error
            # ROOT is authorized for the first statement, so the error of the second shows.
            assert server.query(text, ROOT, db="a", **fields).status == 400
    for text in ("NONSENSE; SHOW USERS", "SHOW DATABASES; NONSENSE; SHOW USERS"):
        assert server.query(text, ANN, db="a").status == 400


# ---- parsing in threads, with a parser that waits


class Slow(ParseCache):
    """A parser that waits before parsing, and records the user of each text."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.begun: list[str] = []
        self.changed = threading.Condition()

    def cached(self, text: str) -> None:
        """Returns None, so that each text is parsed."""

    def parse_new(
        self, text: str, on_statement: Callable[[Statement], None] | None = None
    ) -> tuple[Statement, ...]:
        with self.changed:
            self.begun.append(text.rpartition(" ")[2])
            self.changed.notify_all()
        assert self.go.wait(20)
        return super().parse_new(text, on_statement)

    def reached(self, count: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: len(self.begun) >= count, 20)


async def _nothing() -> Any:
    return {"type": "http.request"}


def work(service: AppContext, name: str, text: str) -> QueryExecution:
    scope: dict[str, Any] = {
        "method": "POST",
        "path": "/query",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
    }
    principal = Principal(User("1", name, "", False, {"a": Privilege.READ}), "password")
    call = Request(scope, _nothing)
    return QueryExecution(
        call, service.query_executor, principal, text=f"{text} {name}", params="", database="a"
    )


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[tuple[AppContext, Slow]]:
    settings = Settings(store_path=str(path / "users.db"), bcrypt_cost=4)
    service, slow = AppContext(settings, Metrics(), ServerStatus(lambda: None)), Slow()
    service.engine.parse = slow
    # The users of these tests are not in the user store.
    service.engine.renew = lambda principal: principal  # type: ignore[method-assign]
    try:
        yield service, slow
    finally:
        slow.go.set()
        await service.close_connections()
        await asyncio.get_running_loop().run_in_executor(None, service.close)


def begin(one: QueryExecution) -> "asyncio.Future[Principal]":
    return asyncio.ensure_future(one.run_in_thread(one.authorize))


LONG = "SELECT v FROM"


def test_one_user_takes_half_of_the_threads_at_most(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (service, slow):
            anns = [begin(work(service, "ann", LONG)) for _ in range(20)]
            await asyncio.to_thread(slow.reached, 2)
            bobs = [begin(work(service, "bob", LONG)) for _ in range(2)]
            assert await asyncio.to_thread(slow.reached, 4)
            assert sorted(slow.begun) == ["ann", "ann", "bob", "bob"]
            slow.go.set()
            await asyncio.gather(*anns, *bobs)
            assert slow.begun.count("ann") == 20

    asyncio.run(scenario())


def test_nothing_is_done_for_a_client_that_left_before_its_turn(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (service, slow):
            anns = [begin(work(service, "ann", LONG)) for _ in range(10)]
            await asyncio.to_thread(slow.reached, 2)
            for one in anns:
                one.cancel()
            await asyncio.gather(*anns, return_exceptions=True)
            last = begin(work(service, "ann", LONG))
            slow.go.set()
            await last
            assert slow.begun == ["ann"] * 3  # two were being parsed; then the last

    asyncio.run(scenario())


@pytest.mark.slow
def test_one_user_takes_a_part_of_the_queue(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as (service, slow):
            anns = [begin(work(service, "ann", LONG)) for _ in range(200)]
            await asyncio.to_thread(slow.reached, 2)
            bob = begin(work(service, "bob", LONG))
            slow.go.set()
            results = await asyncio.gather(*anns, return_exceptions=True)
            refused = [one for one in results if isinstance(one, Overloaded)]
            assert 0 < len(refused) < 100
            assert (await bob).name == "bob"

    asyncio.run(scenario())


def test_a_denied_statement_ends_the_parsing_of_a_slow_one(tmp_path: Path) -> None:
    read: list[Statement] = []

    class Noting(ParseCache):
        def __call__(
            self,
            text: str,
            parameters: Mapping[str, object] | None = None,
            each: Callable[[Statement], None] | None = None,
        ) -> tuple[Statement, ...]:
            def noted(statement: Statement) -> None:
                read.append(statement)
                if each is not None:
                    each(statement)

            return super().__call__(text, parameters, noted)

    async def scenario() -> None:
        async with running(tmp_path) as (service, _):
            service.engine.parse = Noting()
            one = work(service, "ann", "SHOW DATABASES; SHOW USERS; " + "SELECT v FROM m; " * 900)
            with pytest.raises(AccessDenied):
                await one.run_in_thread(one.authorize)

    asyncio.run(scenario())
    assert len(read) == 2
