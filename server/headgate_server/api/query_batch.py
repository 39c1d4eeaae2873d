"""Runs the queries of one loop iteration as a batch, stage by stage.

Only queries without a body, and only as far as they need no waiting.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from headgate_engine import Job, Moment, Principal, Unavailable
from headgate_grammar import ShowGrants
from headgate_server.api.denied_queries import Denied, denial
from headgate_server.api.query import reply_with
from headgate_server.api.responses import Answers
from headgate_server.app_context import Service
from headgate_server.formats import Answer
from headgate_server.http.request import Call
from headgate_server.http.response import Reply
from headgate_server.query.executor import Work, is_single_change
from headgate_server.query.prepared import Prepared
from headgate_server.telemetry.logging import printed

# Bytes of the largest response body that is cached.
_SHORT = 4096
# Parameters that may need waiting, however cheap the statements are.
_PATIENT = frozenset({"async", "chunked", "params"})


@dataclass(slots=True)
class _Query:
    """A prepared query of an authenticated principal."""

    call: Call
    asked: Prepared
    principal: Principal


@dataclass(slots=True)
class Later:
    """A query that only waits until its change to the store is durable."""

    work: Work
    job: Job
    asked: Prepared

    async def reply(self) -> Reply:
        """Commits the change, and returns the response. Raises Overloaded."""
        answer, format = await self.work.made(self.job), self.asked.format()
        return reply_with(format.results([answer]), format, gzip=self.asked.gzip)


# A response, a response that waits for a change, or the exception in its place. None: the query
# must run the usual way.
Early = Reply | Later | Exception | None


def queries_at_once(calls: Sequence[Call], service: Service, answers: Answers) -> list[Early]:
    """Returns what `query` would answer to each of *calls*, as far as that needs no waiting.

    All of them are answered from one snapshot of the store. If that fails, its error answers all.
    """
    try:
        with service.store.moment() as moment:
            known = [service.prepared.known(call) for call in calls]
            queries = [_begun(*each, service) for each in zip(calls, known, strict=True)]
            _read_together(queries, service)
            return [_answered(query, moment, service, answers) for query in queries]
    except Exception as error:
        return [error] * len(calls)


def _begun(call: Call, asked: Prepared | None, service: Service) -> _Query | Exception | None:
    """Authenticates *call*, and prepares its query unless *asked* is the cached one.

    Returns None if the query must run the usual way, and an error instead of raising it.
    """
    try:
        if asked is not None:
            call.url_pairs = asked.others
        elif not _PATIENT.isdisjoint(call.url_pairs):
            return None
        principal = service.known(call)
        if principal is None:
            return None
        if asked is None and (asked := service.prepared.make(call)) is None:
            return None
    except Exception as error:  # the error of one request must not fail the batch
        return error
    call.note.database, call.note.statements = asked.database, printed(asked.statements)
    return _Query(call, asked, principal)


def _read_together(queries: Sequence[_Query | Exception | None], service: Service) -> None:
    """Prefetches the users of all SHOW GRANTS statements in *queries* with one read.

    Skips queries whose responses may be cached, and those of restricted principals, which may be
    denied.
    """
    names = [
        statement.user
        for query in queries
        if isinstance(query, _Query) and query.principal.unrestricted and not query.asked.kept
        for statement in query.asked.statements
        if isinstance(statement, ShowGrants)
    ]
    if len(names) > 1:
        with suppress(Unavailable):  # each query reads again, and raises it then
            service.store.gather(names)


def _answered(
    query: _Query | Exception | None, moment: Moment, service: Service, answers: Answers
) -> Early:
    if not isinstance(query, _Query):
        return query
    try:
        return _answer(query, moment, service, answers)
    except Exception as error:
        return error


def _answer(
    query: _Query, moment: Moment, service: Service, answers: Answers
) -> Reply | Later | None:
    call, asked, principal = query.call, query.asked, query.principal
    # All unrestricted principals share one cached response.
    key = asked if principal.unrestricted else (asked, principal.name)
    made = moment.made(key) if asked.kept else None
    if isinstance(made, Reply):
        service.metrics.executed(asked.kinds)
        return made
    if not isinstance(made, Denied):
        # A query that is not authorized is rejected here, also if it is not cheap.
        made = denial(service, answers, principal, asked)
        if made is not None and asked.kept:
            moment.keep_made(key, made)
    if made is not None:
        return made.to(call, service)
    if not asked.quick:
        return _later(query, service)
    reply = _executed(query, service)
    if asked.kept and not call.note.error and len(reply.body) <= _SHORT:
        moment.keep_made(key, reply)
    return reply


def _later(query: _Query, service: Service) -> Later | None:
    """Returns the pending change of *query*, which is authorized, or None for anything else."""
    call, asked, principal = query.call, query.asked, query.principal
    if not is_single_change(asked.statements) or not service.may_change(call):
        return None
    work = Work(call, service.queries, principal, "", "", asked.database, asked.statements)
    work.remembered = asked.remembered
    job = work.job(principal)
    return Later(work, job, asked) if job is not None else None


def _executed(query: _Query, service: Service) -> Reply:
    """Executes a cheap query, which only reads, and returns the response.

    It needs neither the warning nor the audit record of `Work.executed`. All statements are counted
    together.
    """
    call, asked = query.call, query.asked
    execute = service.engine.execute
    results = [*execute(asked.statements, query.principal, asked.database, call.origin)]
    errors = [result.error for result in results if result.error]
    if errors:
        call.note.error = errors[0]  # the errors after the first are only `not executed`
    service.metrics.executed(asked.kinds, len(errors), remembered=asked.remembered)
    format = asked.format()
    plain = format.results([Answer(id, result) for id, result in enumerate(results)])
    return reply_with(plain, format, gzip=asked.gzip)
