"""The OpenAPI description of the service, with the current model's inputs as JSON Schema."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipelines.bundles.signature import InputField, OutputField
from pipelines.serving.rows import expected, span
from pipelines.serving.served import ServedModel

Json = dict[str, Any]
ERROR: Json = {
    "type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"], "additionalProperties": False,
}  # fmt: skip
REFUSED = {
    "400": "The request is not what the route takes.",
    "401": "No key, or not the right one.",
    "404": "No such model or version.",
    "408": "The body did not arrive in time.",
    "413": "Too many bytes or rows.",
    "415": "The body is encoded.",
    "422": "Values are unknown, missing, of the wrong type or outside the contract.",
    "429": "Too many requests are in work.",
    "503": "The queue is full, or no model is ready.",
}


def describe(model: ServedModel, *, with_key: bool) -> Json:
    """The whole description, as OpenAPI 3.1."""
    row = row_schema(model)
    prediction = _prediction(model.output)
    named = {"model": {"type": "string"}, "version": {"type": "string"}}
    one = _object({**named, "prediction": prediction}, optional=("prediction",))
    many = _object({**named, "predictions": {"type": "array", "items": prediction}})
    effect = _object({"name": {"type": "string"}, "effect": {"type": "number"}})
    explained = {
        "milliseconds": {"type": "number"},
        "method": {"type": "string"},
        "effects": {"type": "array", "items": effect},
    }
    rows = {"oneOf": [row, {"type": "array", "items": row, "minItems": 1}]}
    example = example_row(model)
    predict = _post("Predict one object of named values, or a list of them.", rows, {"anyOf": [one, many]}, example)
    answer = _object({**named, "prediction": prediction, **explained})
    explain = _post("Predict one object, and say how much each input moved it.", row, answer, example)
    paths = {
        "/predict": {"post": predict},
        "/explain": {"post": explain},
        "/schema": {"get": _get("The model's inputs, output and card.")},
        "/metrics": {"get": _get("Metrics for Prometheus.", media="text/plain")},
        "/v2": {"get": _get("The server's metadata.")},
        "/v2/health/live": {"get": _get("Whether the process answers.")},
        "/v2/health/ready": {"get": _get("Whether requests should be sent here.")},
        **_model_paths(model),
    }
    described: Json = {
        "openapi": "3.1.0",
        "info": {"title": f"{model.name} on ringmill", "version": model.version},
        "paths": paths,
    }
    if with_key:
        schemes = {
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }
        described |= {"components": {"securitySchemes": schemes}, "security": [{"key": []}, {"bearer": []}]}
    return described


def row_schema(model: ServedModel) -> Json:
    """One object of named raw values: every input is required, null where it may be missing."""
    return _object({field.name: _field(field) for field in model.schema.fields.values()})


def example_row(model: ServedModel) -> Json | None:
    """The example of the input schema as `/predict` takes it; none where a value is lacking that may not be missing."""
    row = {field.name: _example(field) for field in model.schema.fields.values()}
    return None if any(row[f.name] is None and not f.nullable for f in model.schema.fields.values()) else row


def _example(field: InputField) -> Any:
    if field.type == "boolean" and field.example is not None:
        return bool(field.example)
    if field.type == "timestamp" and isinstance(field.example, int | float):
        return datetime.fromtimestamp(field.example, UTC).isoformat()
    return field.example


def _example_request(model: ServedModel) -> Json | None:
    fields = model.schema.fields.values()
    if example_row(model) is None:
        return None
    return {
        "inputs": [
            {
                "name": field.name,
                "datatype": field.datatype,
                "shape": [1] if field.length is None else [1, field.length],
                "data": field.example if isinstance(field.example, list) else [field.example] * (field.length or 1),
            }
            for field in fields
        ]
    }


def _field(field: InputField) -> Json:
    element = field.type.removeprefix("array<").removesuffix(">")
    low, high = span(field)
    kinds: dict[str, Json] = {
        "boolean": {"type": "boolean"},
        "timestamp": {"type": "string", "format": "date-time"},
        "string": {"type": "string", **({} if field.nullable else {"minLength": 1})},
    }
    number = {"type": "integer" if element in ("int", "bigint") else "number", "minimum": low, "maximum": high}
    value = kinds.get(element, number)
    if field.allowed:
        value = {"type": value["type"], "enum": list(field.allowed)}
    elif field.pattern:
        value = {**value, "pattern": field.pattern}
    if field.nullable:
        value = {"anyOf": [value, {"type": "null"}]}
    if field.length is not None:
        value = {"type": "array", "items": value, "minItems": field.length, "maxItems": field.length}
        value = {"anyOf": [value, {"type": "null"}]} if field.nullable else value
    return {**value, "description": f"{field.comment or field.name}: {expected(field)}"}


def _prediction(output: OutputField) -> Json:
    number: Json = {"type": "number"}
    if output.task == "binary":
        calibrated = {"calibrated_probability": number} if output.calibration else {}
        return _object({"class": {"enum": list(output.classes)}, "probability": number, "threshold": number, **calibrated})
    if output.task == "multiclass":
        return _object(
            {"class": {"enum": list(output.classes)}, "probabilities": _object(dict.fromkeys(output.classes, number))}
        )
    unit = {"unit": {"type": "string"}}
    return _object(
        {**unit, **({"value": number} if output.outputs is None else {"values": {"type": "array", "items": number}})}
    )


def _model_paths(model: ServedModel) -> Json:
    tensor = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "datatype": {"enum": ["FP64", "FP32", "INT64", "INT32", "BYTES"]},
            "parameters": {"type": ["object", "null"]},
            "data": {"type": "array"},
        },
        "required": ["name", "shape", "datatype"],
    }
    request = {
        "type": "object",
        "properties": {"id": {"type": ["string", "null"]}, "inputs": {"type": "array", "items": tensor, "minItems": 1}},
        "required": ["inputs"],
    }
    paths: Json = {}
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        names = ["model", "version"] if "version" in path else ["model"]
        known = {"model": model.name, "version": model.version}
        parameters = [{"name": name, "in": "path", "required": True, "schema": {"enum": [known[name]]}} for name in names]
        answer = {"type": "object", "required": ["model_name", "model_version", "outputs"]}
        infer = _post("Score tensors.", request, answer, _example_request(model))
        paths[path] = {"get": _get("The model's metadata."), "parameters": parameters}
        paths[f"{path}/ready"] = {"get": _get("Whether the model answers."), "parameters": parameters}
        paths[f"{path}/infer"] = {"post": infer, "parameters": parameters}
    return paths


def _object(properties: Json, optional: tuple[str, ...] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _get(summary: str, media: str = "application/json") -> Json:
    schema: Json = {"type": "object"} if media == "application/json" else {"type": "string"}
    return {"summary": summary, "responses": _responses(schema, media, ("401", "404", "429", "503"))}


def _post(summary: str, body: Json, answer: Json, example: Json | None) -> Json:
    media: Json = {"schema": body, **({"example": example} if example else {})}
    content = {"required": True, "content": {"application/json": media}}
    return {"summary": summary, "requestBody": content, "responses": _responses(answer, "application/json", tuple(REFUSED))}


def _responses(schema: Json, media: str, refused: tuple[str, ...]) -> Json:
    errors = {s: {"description": REFUSED[s], "content": {"application/json": {"schema": ERROR}}} for s in refused}
    return {"200": {"description": "Done.", "content": {media: {"schema": schema}}}, **errors}
