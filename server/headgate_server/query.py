"""/query: InfluxQL in, results out."""

from starlette.requests import Request
from starlette.responses import Response

from headgate_engine import Result, changes
from headgate_server.answer import Answer, Format
from headgate_server.form import Form, form
from headgate_server.refusals import BadRequest
from headgate_server.service import Service
from headgate_server.text import readable


async def query(request: Request, service: Service, format: Format) -> Response:
    """Authenticates, parses, authorizes all, executes; a statement's error is in its result."""
    principal = await service.login(request)
    sent = await form(request, service.settings.max_body_size)
    statements = service.engine.parse(_text(sent))
    database = readable(sent.fields.get("db", ""))
    service.engine.authorize(principal, statements, database)
    address = request.client.host if request.client is not None else ""
    results = await service.execute(statements, principal, address)
    answers = [Answer(id, result, _warning(request, result)) for id, result in enumerate(results)]
    if sent.fields.get("chunked") == "true":
        body = "".join(format.results([answer]) for answer in answers)
    else:
        body = format.results(answers)
    return Response(body, headers={"Content-Type": format.media_type})


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
