"""The endpoint /openapi.json: an OpenAPI 3.1 description of some paths below `/api`.

The description contains Headgate's own paths, and InfluxDB 1.x's paths for Prometheus' remote
write and read. InfluxDB's manuals describe InfluxDB's other paths.
"""

from typing import Any

from headgate_server.api.accounts.openapi import ACCOUNT_PATHS, ACCOUNT_SCHEMAS
from headgate_server.app_context import AppContext
from headgate_server.formats import JsonEncoder, ResultEncoder
from headgate_server.gateway.mount import Mount
from headgate_server.http.request import Request
from headgate_server.http.response import Response, content_headers


async def openapi(
    request: Request, context: AppContext, encoder: ResultEncoder, mount: Mount | None
) -> Response:
    """Returns the OpenAPI description. Requires no login: the description has no secret."""
    return Response(
        JsonEncoder(pretty=True).encode(DESCRIPTION),
        raw_headers=content_headers(JsonEncoder.media_type),
    )


def _response(description: str, schema: str, **headers: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    response: dict[str, Any] = {"description": description, "content": content}
    if headers:
        response["headers"] = {
            name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
    return response


def _parameter(name: str, type: str, description: str) -> dict[str, Any]:
    """Returns the description of the optional parameter *name* of a URL."""
    schema: dict[str, Any] = {"type": type}
    if type == "integer":
        schema |= {"minimum": 0, "maximum": 999_999_999_999}
    return {"name": name, "in": "query", "description": description, "schema": schema}


_ERROR_RESPONSES = {
    "401": _response(
        "Missing or invalid credentials", "Error", WWW_Authenticate="the realm to log in to"
    ),
    "403": _response("A token that maps to no role or no user", "Error"),
    "429": _response("Too many failed logins", "Error", Retry_After="seconds to wait"),
    "503": _response(
        "Too busy, or the store is unavailable", "Error", Retry_After="seconds to wait"
    ),
}

_SECURITY: list[dict[str, list[str]]] = [
    {"basic": []},
    {"bearer": []},
    {"user": [], "password": []},
]
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
        ("precision", "forwarded to InfluxDB"),
        ("consistency", "forwarded to InfluxDB"),
    )
]


def _remote_path(
    id: str, summary: str, privilege: str, responses: dict[str, Any]
) -> dict[str, Any]:
    """Returns the OpenAPI description of a path for Prometheus' remote write or remote read.

    *privilege* is the privilege that the path requires. *responses* are its successful responses.
    """
    # Prometheus sends application/x-protobuf; other types are accepted, too.
    body = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {
        "post": {
            "operationId": id,
            "summary": summary,
            "security": _SECURITY,
            "parameters": _PARAMETERS,
            "requestBody": {
                "description": "protobuf, compressed by snappy",
                "required": True,
                "content": body,
            },
            "responses": {
                **responses,
                "400": _response("No database, or a body that the store cannot decode", "Error"),
                **_ERROR_RESPONSES,
                "403": _response(f"No {privilege} on the database", "Error"),
                "404": _response("No such database, to a user that may know it", "Error"),
                "501": _response("No upstream store supports this", "Error"),
                "502": _response("The upstream store returned no valid answer", "Error"),
            },
        }
    }


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of tables by name, or of names alone."""
    return {
        "anyOf": [
            {"type": ["object", "null"], "additionalProperties": schema},
            {"type": "array", "items": {"type": "string"}},
        ]
    }


_POLICY: dict[str, Any] = {
    "duration": {"type": "string", "description": "such as 2w, or INF"},
    "replication": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "shard-duration": {"type": "string"},
    "future-limit": {"type": "string", "description": "of the times of written points"},
    "past-limit": {"type": "string"},
}
_DECLARED_DATABASE = {
    "type": ["object", "null"],
    "properties": {
        "name": {"type": "string", "description": "of the default retention policy"},
        **_POLICY,
        "policies": {
            "description": "other retention policies by name",
            **_named(
                {
                    "type": ["object", "null"],
                    "properties": _POLICY,
                    "additionalProperties": False,
                }
            ),
        },
    },
    "additionalProperties": False,
}
_DECLARED_USER = {
    "type": ["object", "null"],
    "properties": {
        "admin": {"type": "boolean"},
        "password": {"type": "string"},
        "password-hash": {"type": "string", "description": "of bcrypt, in place of password"},
        "grants": {
            "type": "object",
            "description": "all privileges of the user, by database",
            "additionalProperties": {"enum": ["READ", "WRITE", "ALL", "NONE"]},
        },
    },
    "additionalProperties": False,
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
                "summary": "The authenticated user and their privileges",
                "security": _SECURITY,
                "responses": {
                    "200": _response("The authenticated user", "Identity"),
                    **_ERROR_RESPONSES,
                },
            }
        },
        "/api/user/password": {
            "put": {
                "operationId": "changeOwnPassword",
                "summary": "Sets the password of the authenticated user",
                "security": _SECURITY,
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Passwords"}}
                    },
                },
                "responses": {
                    "204": {"description": "The new password is set"},
                    "400": _response("A wrong old password, or an invalid new one", "Error"),
                    **_ERROR_RESPONSES,
                },
            }
        },
        "/api/access": {
            "get": {
                "operationId": "access",
                "summary": "Users with their privileges, for administrators",
                "security": _SECURITY,
                "parameters": [
                    _parameter("database", "string", "only users with access to this database"),
                    _parameter("name", "string", "only this user"),
                    _parameter("after", "integer", "the id of the last user of the former page"),
                    _parameter("limit", "integer", "users of a page, at most 1,000"),
                ],
                "responses": {
                    "200": _response("Users in order of creation", "Access"),
                    **_ERROR_RESPONSES,
                    "400": _response("An invalid parameter", "Error"),
                    "403": _response("The user is no administrator", "Error"),
                    "404": _response("No such user or database", "Error"),
                },
            }
        },
        "/api/apply": {
            "post": {
                "operationId": "apply",
                "summary": "Makes users, grants and databases match a state, for administrators",
                "security": _SECURITY,
                "parameters": [
                    _parameter("dry_run", "boolean", "only list the changes"),
                    _parameter("prune", "boolean", "drop other users and databases"),
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/State"}}
                    },
                },
                "responses": {
                    "200": _response("The changes", "Changes"),
                    **_ERROR_RESPONSES,
                    "400": _response("An invalid state or parameter", "Error"),
                    "403": _response("The user is no administrator", "Error"),
                    "413": _response("A body above 16 MiB", "Error"),
                },
            }
        },
        "/api/reload": {
            "post": {
                "operationId": "reload",
                "summary": "Reads the configuration again, for administrators",
                "security": _SECURITY,
                "responses": {
                    "200": {"description": "The settings are in effect"},
                    "202": {"description": "Each worker reads them within a moment"},
                    **_ERROR_RESPONSES,
                    "400": _response("An invalid setting; the former ones stay", "Error"),
                    "403": _response("The user is no administrator", "Error"),
                },
            }
        },
        **ACCOUNT_PATHS,
        "/api/v1/prom/write": _remote_path(
            "remoteWrite",
            "Prometheus' remote write, to an upstream InfluxDB 1.x",
            "WRITE",
            {"204": {"description": "The store has acknowledged it"}},
        ),
        "/api/v1/prom/read": _remote_path(
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
            "session": {"type": "apiKey", "in": "cookie", "name": "headgate_session"},
        },
        "schemas": {
            "Identity": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "description": "empty if authentication is off"},
                    "admin": {"type": "boolean"},
                    "method": {
                        "enum": [
                            *("password", "key", "session", "shared-secret", "jwt", "none"),
                            *("ldap", "proxy", "anonymous"),
                        ]
                    },
                    "grants": {
                        "type": "object",
                        "description": "privileges by database",
                        "additionalProperties": {"enum": ["READ", "WRITE", "ALL PRIVILEGES"]},
                    },
                    "email": {"type": "string", "description": "this and below: of a token only"},
                    "full_name": {"type": "string"},
                    "external_id": {"type": "string", "description": "the token's sub"},
                    "issuer": {"type": "string"},
                },
                "required": ["name", "admin", "method", "grants"],
                "additionalProperties": False,
            },
            **ACCOUNT_SCHEMAS,
            "Passwords": {
                "type": "object",
                "properties": {
                    "oldPassword": {"type": "string", "contentEncoding": "base64"},
                    "newPassword": {"type": "string", "contentEncoding": "base64"},
                },
                "required": ["oldPassword", "newPassword"],
                "additionalProperties": False,
            },
            "State": {
                "type": "object",
                "properties": {
                    "databases": _named(_DECLARED_DATABASE),
                    "users": _named(_DECLARED_USER),
                },
                "additionalProperties": False,
            },
            "Changes": {
                "type": "object",
                "properties": {
                    "changes": {"type": "array", "items": {"type": "string"}},
                    "applied": {"type": "boolean"},
                },
                "required": ["changes", "applied"],
            },
            "Access": {
                "oneOf": [
                    {
                        "type": "object",
                        "properties": {
                            "databases": {"type": "array", "items": {"type": "string"}},
                            "users": {"type": "array", "items": {"type": "object"}},
                        },
                        "required": ["databases", "users"],
                        "additionalProperties": False,
                    },
                    {"type": "array", "items": {"type": "object"}},
                ]
            },
            "Error": {
                "type": "object",
                "properties": {
                    "error": {"type": "string"},
                    "errors": {"type": "array", "items": {"type": "string"}},
                    "code": {"type": "string", "description": "of keys and sessions"},
                },
                "required": ["error"],
                "additionalProperties": False,
            },
        },
    },
}
