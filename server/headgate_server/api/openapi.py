"""The description of `/api/*` in OpenAPI 3.1: Headgate's own endpoints, and Prometheus' paths of
InfluxDB 1.x. InfluxDB's others have manuals.
"""

from typing import Any

from headgate_server.app_context import Service
from headgate_server.formats import Format, Json
from headgate_server.gateway.mount import Mounted
from headgate_server.http.request import Call
from headgate_server.http.response import Reply, typed


async def openapi(call: Call, service: Service, format: Format, mounted: Mounted | None) -> Reply:
    """The description. It needs no login: it tells nothing of this server."""
    return Reply(Json(pretty=True).document(DESCRIPTION), raw_headers=typed(Json.media_type))


def _answer(description: str, schema: str, **headers: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    answer: dict[str, Any] = {"description": description, "content": content}
    if headers:
        answer["headers"] = {
            name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
    return answer


_REFUSALS = {
    "401": _answer(
        "No credentials, or wrong ones", "Error", WWW_Authenticate="the realm to log in to"
    ),
    "403": _answer("A token that gives no role or no user here", "Error"),
    "429": _answer("Too many failed logins", "Error", Retry_After="seconds to wait"),
    "503": _answer("Too busy, or the store is away", "Error", Retry_After="seconds to wait"),
}

_LOGINS: list[dict[str, list[str]]] = [{"basic": []}, {"bearer": []}, {"user": [], "password": []}]
_PARAMETERS = [
    {
        "name": name,
        "in": "query",
        "required": name == "db",
        "description": text,
        "schema": {"type": "string", "minLength": 1},
    }
    for name, text in (
        ("db", "the database"),
        ("rp", "the retention policy"),
        ("precision", "passed on, as InfluxDB reads it"),
        ("consistency", "passed on, as InfluxDB reads it"),
    )
]


def _remote(id: str, summary: str, right: str, answers: dict[str, Any]) -> dict[str, Any]:
    """A path of Prometheus' whose body is passed on as it is."""
    # Prometheus says application/x-protobuf; any other type is taken, too.
    body = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {
        "post": {
            "operationId": id,
            "summary": summary,
            "security": _LOGINS,
            "parameters": _PARAMETERS,
            "requestBody": {
                "description": "protobuf, packed by snappy",
                "required": True,
                "content": body,
            },
            "responses": {
                **answers,
                "400": _answer("No database, or a body that the store cannot read", "Error"),
                **_REFUSALS,
                "403": _answer(f"No {right} on the database", "Error"),
                "404": _answer("No such database, to a user that may know it", "Error"),
                "501": _answer("No upstream store takes this", "Error"),
                "502": _answer("The upstream store gave no answer", "Error"),
            },
        }
    }


DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Headgate",
        "version": "1",
        "description": "What Headgate has beside InfluxDB 1.x's /query, /write and /ping.",
    },
    "paths": {
        "/api/whoami": {
            "get": {
                "operationId": "whoami",
                "summary": "Whom the credentials prove, and what he may do",
                "security": _LOGINS,
                "responses": {
                    "200": _answer("Who asks", "Identity"),
                    **_REFUSALS,
                },
            }
        },
        "/api/v1/prom/write": _remote(
            "remoteWrite",
            "Prometheus' remote write, to an upstream InfluxDB 1.x",
            "WRITE",
            {"204": {"description": "The store has acknowledged it"}},
        ),
        "/api/v1/prom/read": _remote(
            "remoteRead",
            "Prometheus' remote read, from an upstream InfluxDB 1.x",
            "READ",
            {"200": {"description": "The store's answer"}},
        ),
    },
    "components": {
        "securitySchemes": {
            "basic": {"type": "http", "scheme": "basic"},
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "user": {"type": "apiKey", "in": "query", "name": "u"},
            "password": {"type": "apiKey", "in": "query", "name": "p"},
        },
        "schemas": {
            "Identity": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "description": "empty if nobody need log in"},
                    "admin": {"type": "boolean"},
                    "method": {"enum": ["password", "shared-secret", "jwt", "none"]},
                    "grants": {
                        "type": "object",
                        "description": "privileges by database",
                        "additionalProperties": {"enum": ["READ", "WRITE", "ALL PRIVILEGES"]},
                    },
                    "email": {"type": "string", "description": "this and below: with a token"},
                    "full_name": {"type": "string"},
                    "external_id": {"type": "string", "description": "the token's sub"},
                    "issuer": {"type": "string"},
                },
                "required": ["name", "admin", "method", "grants"],
                "additionalProperties": False,
            },
            "Error": {
                "type": "object",
                "properties": {"error": {"type": "string"}},
                "required": ["error"],
                "additionalProperties": False,
            },
        },
    },
}
