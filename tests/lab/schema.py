# SPDX-License-Identifier: Apache-2.0
"""What natra's OpenAPI document uses of JSON Schema."""
from __future__ import annotations

from typing import Any

TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
                         "boolean": bool, "null": type(None)}
KNOWN = {"$ref", "type", "properties", "required", "additionalProperties", "items", "enum", "const", "oneOf", "minimum",
         "description", "format", "maximum", "default"}


def resolve(document: Any, part: Any) -> Any:
    while "$ref" in part:
        found = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def violations(document: Any, schema: Any, value: Any, where: str = "") -> list[str]:
    """A sentence for everything in which the value is not as the schema says."""
    schema = resolve(document, schema)
    out = [f"{where}: the schema has {key}, unknown here" for key in schema.keys() - KNOWN]
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    # Python's bool is an int.
    if names and not any(isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
                         for name in names):
        return [*out, f"{where}: {value!r} is no {' or '.join(names)}"]
    if "enum" in schema and value not in schema["enum"]:
        out.append(f"{where}: {value!r} is not in {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        out.append(f"{where}: {value!r} is not {schema['const']!r}")
    if "minimum" in schema and value < schema["minimum"]:
        out.append(f"{where}: {value!r} is below {schema['minimum']}")
    if "oneOf" in schema:
        fits = [each for each in schema["oneOf"] if not violations(document, each, value, where)]
        if len(fits) != 1:
            out.append(f"{where}: {value!r} fits {len(fits)} of {len(schema['oneOf'])}")
    if isinstance(value, dict) and "properties" in schema:
        out += [f"{where}: no {name}" for name in schema.get("required", []) if name not in value]
        for name, member in value.items():
            if name in schema["properties"]:
                out += violations(document, schema["properties"][name], member, f"{where}.{name}")
            elif schema.get("additionalProperties") is False:
                out.append(f"{where}: {name} is not in the schema")
    if isinstance(value, list) and "items" in schema:
        for index, each in enumerate(value):
            out += violations(document, schema["items"], each, f"{where}[{index}]")
    return out
