"""The OpenAPI document, made from the endpoints and their models."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

import runnerd
from runnerd.api.endpoints import Endpoint, Parameter
from runnerd.api.problems import PROBLEM_TYPE
from runnerd.api.schemas.problem import ProblemDetails

ANYWHERE = (401, 403, 500)
_REFERENCES = "#/components/schemas/{model}"
_JSON = "application/json"
_ABOUT = (
    "Runs training scripts isolated, tracks them, keeps their models and serves them. Errors are "
    "problem details (RFC 9457): `detail` says what is wrong and what to do. The same origin is "
    "a complete MLflow tracking URI."
)

Document = dict[str, Any]


def openapi_document(endpoints: Sequence[Endpoint]) -> Document:
    """Describe every endpoint, by OpenAPI 3.1."""
    schemas = _Schemas(endpoints)
    paths: Document = {}
    for endpoint in endpoints:
        operations = paths.setdefault(endpoint.documented_path, {})
        operations[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "runnerd", "version": runnerd.__version__, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


class _Schemas:
    """The JSON Schemas of all models, with what they refer to in one place."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        sent = [endpoint.body for endpoint in endpoints] + [endpoint.form for endpoint in endpoints]
        inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
            (_key(kind), "validation", TypeAdapter(kind)) for kind in sent if kind is not None
        ]
        answered = [endpoint.answer for endpoint in endpoints] + [ProblemDetails]
        inputs += [
            (_key(kind), "serialization", TypeAdapter(kind))
            for kind in answered
            if kind is not None
        ]
        unique = {(key, mode): (key, mode, adapter) for key, mode, adapter in inputs}
        found, rest = TypeAdapter.json_schemas(unique.values(), ref_template=_REFERENCES)
        self._found = {key: schema for (key, _), schema in found.items()}
        self.definitions: Document = rest.get("$defs", {})

    def of(self, kind: Any) -> Document:
        """Give the schema of a model or type."""
        return self._found[_key(kind)]


def _key(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and issubclass(kind, BaseModel) else repr(kind)


def _operation(endpoint: Endpoint, schemas: _Schemas) -> Document:
    operation: Document = {
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.parameters:
        operation["parameters"] = [_parameter(parameter) for parameter in endpoint.parameters]
    if endpoint.body is not None:
        content = {_JSON: {"schema": schemas.of(endpoint.body)}}
        if endpoint.form is not None:
            content["multipart/form-data"] = {"schema": schemas.of(endpoint.form)}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _responses(endpoint: Endpoint, schemas: _Schemas) -> Document:
    content: Document = {media: {"schema": {"type": "string"}} for media in endpoint.media}
    if endpoint.answer is not None:
        content[_JSON] = {"schema": schemas.of(endpoint.answer)}
    good = {"description": HTTPStatus(endpoint.status).phrase, "content": content}
    problem = {PROBLEM_TYPE: {"schema": schemas.of(ProblemDetails)}}
    errors = {
        str(status): {"description": HTTPStatus(status).phrase, "content": problem}
        for status in sorted({*endpoint.errors, *ANYWHERE})
    }
    return {str(endpoint.status): good, **errors}


def _parameter(parameter: Parameter) -> Document:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.description,
        "schema": parameter.schema,
    }
