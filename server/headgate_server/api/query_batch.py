"""Queries without a body, answered as far as nobody and nothing has to be waited for: all that came
in one turn of the loop, each step for all of them before the next.
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

# So long an answer may be to be kept.
_SHORT = 4096
# What may take its time, however quick the statements are.
_PATIENT = frozenset({"async", "chunked", "params"})


@dataclass(slots=True)
class _Query:
    """What *principal* has *asked*."""

    call: Call
    asked: Prepared
    principal: Principal


@dataclass(slots=True)
class Later:
    """One whose change has to be waited for, and nothing else."""

    work: Work
    job: Job
    asked: Prepared

    async def reply(self) -> Reply:
        """Raises Overloaded."""
        answer, format = await self.work.made(self.job), self.asked.format()
        return reply_with(format.results([answer]), format, gzip=self.asked.gzip)


# An answer, or what is raised in its place; None where somebody has to be waited for, or is not
# known yet.
Early = Reply | Later | Exception | None


def queries_at_once(calls: Sequence[Call], service: Service, answers: Answers) -> list[Early]:
    """What `query` would answer to each of *calls*."""
    try:
        with service.store.moment() as moment:
            known = [service.prepared.known(call) for call in calls]
            queries = [_begun(*each, service) for each in zip(calls, known, strict=True)]
            _read_together(queries, service)
            return [_answered(query, moment, service, answers) for query in queries]
    except Exception as error:
        return [error] * len(calls)


def _begun(call: Call, asked: Prepared | None, service: Service) -> _Query | Exception | None:
    """Who sent *call*, and what he has *asked*, where that is not known from before."""
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
    except Exception as error:  # one request's fault is not the others'
        return error
    call.note.database, call.note.statements = asked.database, printed(asked.statements)
    return _Query(call, asked, principal)


def _read_together(queries: Sequence[_Query | Exception | None], service: Service) -> None:
    """Has the store asked once for all whom the *queries* are about, as far as they may be told."""
    names = [
        statement.user
        for query in queries
        if isinstance(query, _Query) and query.principal.unrestricted and not query.asked.kept
        for statement in query.asked.statements
        if isinstance(statement, ShowGrants)
    ]
    if len(names) > 1:
        with suppress(Unavailable):  # each of them hears it for himself
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
    # What one answers who may do everything is the same for all of them.
    key = asked if principal.unrestricted else (asked, principal.name)
    made = moment.made(key) if asked.kept else None
    if isinstance(made, Reply):
        service.metrics.executed(asked.kinds)
        return made
    if not isinstance(made, Denied):
        # Who may not hears so at once, whatever it is.
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
    """What it changes, if that is all that it does. He may."""
    call, asked, principal = query.call, query.asked, query.principal
    if not is_single_change(asked.statements) or not service.may_change(call):
        return None
    work = Work(call, service.queries, principal, "", "", asked.database, asked.statements)
    work.remembered = asked.remembered
    job = work.job(principal)
    return Later(work, job, asked) if job is not None else None


def _executed(query: _Query, service: Service) -> Reply:
    """The answer to what is only read, counted in one go: there is nothing to warn of, and no
    failure to record, which Work.executed sees to.
    """
    call, asked = query.call, query.asked
    execute = service.engine.execute
    results = [*execute(asked.statements, query.principal, asked.database, call.origin)]
    errors = [result.error for result in results if result.error]
    if errors:
        call.note.error = errors[0]  # those behind it are only `not executed`
    service.metrics.executed(asked.kinds, len(errors), remembered=asked.remembered)
    format = asked.format()
    plain = format.results([Answer(id, result) for id, result in enumerate(results)])
    return reply_with(plain, format, gzip=asked.gzip)
