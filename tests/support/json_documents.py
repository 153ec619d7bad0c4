"""JSON Schemas of what commands print, which refuse keys that they do not describe."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
from referencing import Registry, Resource

from onnx_roialign.cli import output

SCHEMAS = Path(output.__file__).parent / "schemas"


def check(name, document):
    """Raises jsonschema.ValidationError if the document is not what the schema of a command, or "error", describes."""
    schema = {"$id": f"{SCHEMAS.as_uri()}/here.schema.json", **strict(loaded(name))}
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema, registry=Registry(retrieve=retrieved)).validate(document)


def loaded(name):
    return json.loads((SCHEMAS / f"{name.replace(' ', '-')}.schema.json").read_text(encoding="utf-8"))


def strict(schema):
    """The schema, which refuses keys that it does not describe wherever it describes some."""
    if isinstance(schema, list):
        return [strict(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: value if key == "if" else strict(value) for key, value in schema.items()}
    if "properties" in made and "type" in made and "allOf" not in made:
        made["additionalProperties"] = False
    elif "properties" in made and "type" in made:
        made["unevaluatedProperties"] = False
    return made


def retrieved(uri):
    path = Path(uri.removeprefix("file://")).resolve()
    schema = json.loads(path.read_text(encoding="utf-8"))
    return Resource.from_contents(schema if path.name == "document.schema.json" else strict(schema))
