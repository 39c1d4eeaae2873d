"""What is written of requests and faults: one line each, as text or as JSON. Knows logging.

No line holds a secret: statements print passwords as `[REDACTED]`, URLs and headers are not
written, and of a fault only its kind and its place.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from headgate_grammar import Statement, redact_urls
from headgate_server.telemetry.request_log import Note

_ACCESS = logging.getLogger("headgate.access")
_LOG = logging.getLogger("headgate")

_PLAIN = re.compile(r"[\w./:@+-]+", re.ASCII)
_LONGEST = 1000
# Of a refused request: anyone can cause such lines, without a login too.
_LONGEST_REFUSED = 100
_LONGEST_REASON = 300


def set_up(format: str, *, access: bool, timed: bool = False) -> None:
    """Sends this process's lines to standard error, in *format* (`text` or `json`): those of
    requests too, with *access*. A server's lines in text are *timed*, a tool's answers are not.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if format == "json" else _Text(timed=timed))
    _LOG.handlers = [handler]
    _LOG.propagate = False
    _LOG.setLevel(logging.INFO)
    _ACCESS.disabled = not access
    # It would write tracebacks, with what an error says; we have reported it before.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    # Nobody reads the log any more: no reason to fail, or to write a traceback of it.
    logging.raiseExceptions = False


def say(text: str) -> None:
    """Writes one sentence about the server itself."""
    _LOG.info(text)


def warn(text: str) -> None:
    """The same, of something that may be dangerous."""
    _LOG.warning(text)


def complain(text: str, **fields: str) -> None:
    """The same, of something wrong."""
    _LOG.error(text, extra={"fields": fields})


def report(error: BaseException, id: str) -> None:
    """Writes which kind of fault of ours the request *id* met, and where: never what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
    _LOG.error(
        "unexpected %s",
        type(error).__name__,
        extra={"fields": {"request_id": id, "at": " < ".join(places)}},
    )


def malformed(address: str, status: int) -> None:
    """Writes that what came from *address* was no request, or none that can be answered."""
    access(address, "other", "other", status, 0, 0, Note(error="malformed or too slow"))


def access(
    address: str, method: str, route: str, status: int, size: int, seconds: float, note: Note
) -> None:
    """Writes that a request from *address* was answered."""
    if _silent():
        return
    refused = status >= HTTPStatus.BAD_REQUEST
    longest = _LONGEST_REFUSED if refused else _LONGEST
    fields: dict[str, object] = {
        "client": address,
        "user": note.user[:longest],
        "method": method,
        "route": route,
        "status": status,
        "bytes": size,
        "seconds": round(seconds, 6),
        "request_id": note.id[:longest],
        "database": note.database[:longest],
        "statements": note.statements[:longest] if refused else note.statements,
        "error": redact_urls(note.error)[: _LONGEST_REASON if refused else _LONGEST],
    }
    _ACCESS.info("request", extra={"fields": fields})


def printed(statements: Sequence[Statement]) -> str:
    """*statements* as a log line has them: as many as there is room for, the last one cut.

    Nothing, if requests are not logged.
    """
    if _silent():
        return ""
    texts: list[str] = []
    room = _LONGEST
    for statement in statements:
        if room <= 0:
            break
        texts.append(redact_urls(str(statement))[:room])
        room -= len(texts[-1])
    more = len(statements) - len(texts)
    return "; ".join(texts) + (f" ... and {more} more" if more else "")


def _silent() -> bool:
    return _ACCESS.disabled or not _ACCESS.isEnabledFor(logging.INFO)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields: Mapping[str, object] = getattr(record, "fields", {})
    return fields


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Text(logging.Formatter):
    """The time, then `name=value` pairs, those without a value left out. A line about the server
    itself has `headgate:` and a sentence behind the time, and no time if it is not *timed*.
    """

    def __init__(self, *, timed: bool) -> None:
        super().__init__()
        self._timed = timed

    def format(self, record: logging.LogRecord) -> str:
        words = []
        if self._timed or record.name == _ACCESS.name:
            words.append(f"time={_time(record)}")
        if record.name != _ACCESS.name:
            words += ["headgate:", *record.getMessage().split()]
        pairs = [f"{name}={_word(value)}" for name, value in _fields(record).items() if value != ""]
        return " ".join([*words, *pairs])


class _Json(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        head = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        return json.dumps({**head, **_fields(record)})


def _word(value: object) -> str:
    text = str(value)
    # In quotes with escapes, or a name with a line end in it would make a line of its own.
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
