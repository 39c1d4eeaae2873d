"""/query: InfluxQL in, results out."""

from starlette.requests import Request
from starlette.responses import Response

from headgate_engine import Result, changes
from headgate_grammar import ShowGrants, Statement
from headgate_server.answer import Answer, Format
from headgate_server.form import Form, form
from headgate_server.parameters import parameters
from headgate_server.refusals import BadRequest
from headgate_server.service import Service
from headgate_server.text import readable

# So many statements may be executed between two other requests.
_FEW = 4


async def query(request: Request, service: Service, format: Format) -> Response:
    """Authenticates, parses, authorizes all, executes; a statement's error is in its result."""
    principal = await service.login(request)
    sent = await form(request, service.settings.max_body_size)
    text = _text(sent)
    bound = parameters(readable(sent.fields.get("params", "")))
    database = readable(sent.fields.get("db", ""))
    chunked = sent.fields.get("chunked") == "true"
    address = request.client.host if request.client is not None else ""

    def perform() -> str:
        statements = service.engine.parse(text, bound)
        # The body may have taken its time: what counts is who he is now.
        now = service.engine.renew(principal)
        service.engine.authorize(now, statements, database)
        results = service.engine.execute(statements, now, database, address)
        answers = [
            Answer(id, result, _warning(request, result)) for id, result in enumerate(results)
        ]
        if chunked:
            return "".join(format.results([answer]) for answer in answers)
        return format.results(answers)

    known = service.engine.parse.known(text) if not bound else None
    quick = known is not None and len(known) <= _FEW and all(map(_is_quick, known))
    body = perform() if quick else await service.run(perform)
    return Response(body, headers={"Content-Type": format.media_type})


def _is_quick(statement: Statement) -> bool:
    """An indexed read is done sooner than a thread is woken."""
    return isinstance(statement, ShowGrants)


def _text(sent: Form) -> str:
    """The parameter q, or else the uploaded file. Raises BadRequest."""
    text = readable(sent.fields.get("q", "")).strip()
    if text:
        return text
    if sent.file is None:
        raise BadRequest('missing required parameter "q"')
    return readable(sent.file)


def _warning(request: Request, result: Result) -> str:
    if request.method != "GET" or result.error or not changes(result.statement):
        return ""
    return (
        f"deprecated use of '{result.statement}' in a read only context,"
        " please use a POST request instead"
    )
