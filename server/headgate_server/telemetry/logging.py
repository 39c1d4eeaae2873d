"""The log of requests and errors: a line for each, as text or as JSON. Uses Python's logging.

No line holds a secret. Statements are written with passwords as `[REDACTED]`; URLs and headers are
not written. For an internal error, the line has its type and its place in the code, not its text.
"""

import asyncio
import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_ACCESS = logging.getLogger("headgate.access")
_LOG = logging.getLogger("headgate")

_PLAIN = re.compile(r"[\w./:@+-]+", re.ASCII)


def configure(format: str, *, access: bool, timed: bool = False) -> None:
    """Sends this process's log to standard error, in *format* (`text` or `json`).

    *access* includes a line for each request. *timed* adds the time to text lines about the process
    itself. A server sets *timed*; a command such as `headgate token check` does not.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if format == "json" else _Text(timed=timed))
    _LOG.handlers = [handler]
    _LOG.propagate = False
    _LOG.setLevel(logging.INFO)
    _ACCESS.disabled = not access
    # uvicorn would log tracebacks with error texts; `log_internal_error` has logged the error.
    logging.getLogger("uvicorn.error").addFilter(_has_no_traceback)
    # Its access log has whole URLs, which may contain a password.
    logging.getLogger("uvicorn.access").disabled = True
    # A closed standard error must neither fail a request nor cause a traceback.
    logging.raiseExceptions = False


def _has_no_traceback(record: logging.LogRecord) -> bool:
    return record.exc_info is None


def log_info(text: str) -> None:
    """Logs *text*: one sentence about the server itself, for example its address."""
    _LOG.info(text)


def log_warning(text: str) -> None:
    """Logs *text* as a warning: one sentence about a danger, for example an insecure setting."""
    _LOG.warning(text)


def log_error(text: str, **fields: str) -> None:
    """Logs *text*, one sentence about an error. *fields* are added to the line by name."""
    _LOG.error(text, extra={"fields": fields})


def log_task_error(task: "asyncio.Task[Any]") -> None:
    """Logs the type and the place of the exception that ended *task*.

    Use it as a done callback of the task. Without it, asyncio would write the exception with its
    text, which may contain a secret.
    """
    if not task.cancelled() and (error := task.exception()) is not None:
        log_internal_error(error, "")


def log_internal_error(error: BaseException, id: str) -> None:
    """Logs the type of *error* and its place in the code, with the request's *id*.

    The text of *error* is not logged, because it may hold a secret.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
    _LOG.error(
        "unexpected %s",
        type(error).__name__,
        extra={"fields": {"request_id": id, "at": " < ".join(places)}},
    )


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields: Mapping[str, object] = getattr(record, "fields", {})
    return fields


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Text(logging.Formatter):
    """Formats a line of the log as text: the time, then the `name=value` pairs that have a value.

    A line about the server itself has `headgate:` and a sentence before the pairs. It has the time
    only if *timed* is set.
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
        pairs = [
            f"{name}={_quote(value)}" for name, value in _fields(record).items() if value != ""
        ]
        return " ".join([*words, *pairs])


class _Json(logging.Formatter):
    """Formats a line of the log as a JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        head = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        return json.dumps({**head, **_fields(record)})


def _quote(value: object) -> str:
    text = str(value)
    # Quoted and escaped, so that a line end in a name does not begin a new line.
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
