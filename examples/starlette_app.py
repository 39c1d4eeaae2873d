"""A Starlette application that authenticates with Headgate's users: `uvicorn starlette_app:app`.

The store is the file in HEADGATE_STORE_PATH.
"""

import os

from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from headgate_engine import Engine, SqliteStore
from headgate_server import HeadgateBackend

engine = Engine(SqliteStore(os.environ["HEADGATE_STORE_PATH"]))


@requires("authenticated", status_code=401)
async def hello(request: Request) -> PlainTextResponse:
    """Greets the authenticated user."""
    return PlainTextResponse(f"hello {request.user.display_name}")


@requires("read:telegraf", status_code=403)
async def report(request: Request) -> PlainTextResponse:
    """Requires READ on the database telegraf."""
    return PlainTextResponse("all is well with telegraf")


app = Starlette(
    routes=[Route("/", hello), Route("/report", report)],
    middleware=[
        Middleware(
            AuthenticationMiddleware,
            backend=HeadgateBackend(engine),
            on_error=HeadgateBackend.refuse,
        )
    ],
)
