"""The OpenAPI document, made from the endpoint table and the body structs.

Source: OpenAPI 3.1.1; msgspec's schemas are JSON Schema 2020-12, the dialect of 3.1, whose patterns
are those of ECMA-262.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

import ironclaw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.api.endpoint import Endpoint

_REF = "#/components/schemas/{name}"
_ANY = "*/*"
_PARAMETER = re.compile(r"\{(\w+)\}")


def build(endpoints: Sequence[Endpoint]) -> bytes:
    """Encode the document as JSON."""
    types: list[Any] = []
    for endpoint in endpoints:
        named = (endpoint.body, endpoint.reply, endpoint.piece, endpoint.refusal.schema)
        types += [kind for kind in named if kind is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, by_type)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    document = {
        "openapi": "3.1.1",
        "info": {
            "title": "IronClaw",
            "version": ironclaw.__version__,
            "description": "Talk to agents sealed in gVisor, and look after them.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    return msgspec.json.encode(_portable(document))


def _portable(node: Any) -> Any:
    """Patterns as JSON Schema has them: Python's own anchors mean nothing to others."""
    match node:
        case {"pattern": str(pattern), **rest}:
            other = pattern.replace(r"\A", "^").replace(r"\Z", "$")
            return {"pattern": other, **_portable(rest)}
        case dict():
            return {name: _portable(value) for name, value in node.items()}
        case list():
            return [_portable(value) for value in node]
    return node


def _operation(endpoint: Endpoint, by_type: dict[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(endpoint.path)
    ]
    parameters += [
        {"name": one.name, "in": "query", "description": one.meaning, "schema": {"type": "string"}}
        for one in endpoint.query
    ]
    success: dict[str, Any] = {"description": "Done."}
    if endpoint.reply is not None:
        schema = by_type[repr(endpoint.reply)]
        success["content"] = {endpoint.media_type: {"schema": schema}}
        if endpoint.piece is not None:
            piece = {"schema": by_type[repr(endpoint.piece)]}
            success["content"]["text/event-stream"] = piece
    elif endpoint.media_type == _ANY:
        success["content"] = {_ANY: {}}
    refusal = {"schema": by_type[repr(endpoint.refusal.schema)]}
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": {
            str(endpoint.status): success,
            "default": {
                "description": "An error, with its code and the next step.",
                "content": {endpoint.refusal.media_type: refusal},
            },
        },
        "security": [],
    }
    if endpoint.about is not None:
        operation["security"] = [{"token": []}]
        operation["x-about"] = endpoint.about
    if endpoint.right is not None:
        operation["x-right"] = endpoint.right
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": by_type[repr(endpoint.body)]}},
        }
    return operation
