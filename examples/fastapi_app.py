"""A FastAPI application that authenticates with Headgate's users: `uvicorn fastapi_app:app`.

The store is the file in HEADGATE_STORE_PATH. `/docs` has a login form, from the security scheme in
the application's OpenAPI description.
"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, status
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from headgate_engine import AsyncEngine, AuthenticationFailed, Engine, SqliteStore, User
from headgate_grammar import Privilege

engine = AsyncEngine(Engine(SqliteStore(os.environ["HEADGATE_STORE_PATH"])))
app = FastAPI(title="Reports")
login = HTTPBasic(realm="Reports")


async def authenticated(credentials: Annotated[HTTPBasicCredentials, Depends(login)]) -> User:
    """Returns the user of the request. Responds 401 to a wrong name or password."""
    try:
        return await engine.authenticate(credentials.username, credentials.password)
    except AuthenticationFailed as error:
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, str(error), {"WWW-Authenticate": 'Basic realm="Reports"'}
        ) from None


async def reader(database: str, user: Annotated[User, Depends(authenticated)]) -> User:
    """Returns the user of the request. Responds 403 if they lack READ on *database*."""
    if not await engine.allows(user.name, Privilege.READ, database):
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"READ on {database} is required")
    return user


@app.get("/")
async def hello(user: Annotated[User, Depends(authenticated)]) -> dict[str, str]:
    """Greets the authenticated user."""
    return {"hello": user.name}


@app.get("/reports/{database}")
async def report(database: str, user: Annotated[User, Depends(reader)]) -> dict[str, str]:
    """Requires READ on *database*."""
    return {"database": database, "reader": user.name}
