"""Checks of values that were read from JSON, for messages about records."""

import json
from collections.abc import Mapping
from typing import Any

# Nested objects and lists. Python's stack overflows somewhere beyond.
MAX_DEPTH = 200


def find_field(fields: Mapping[str, Any], field: str) -> Any:
    """Return the value of a field.

    fields (Mapping[str, Any]): The fields of a record.
    field (str): The name of a field or, if there is none of this name, the path to it
        in nested objects: names separated by dots.

    Raises LookupError if there is no such field.

    >>> find_field({"id": 1, "data": {"text": "in Oslo"}}, "data.text")
    'in Oslo'
    >>> find_field({"data.text": "in Oslo", "data": {}}, "data.text")
    'in Oslo'
    """
    if field in fields:
        return fields[field]
    if "." not in field:
        raise LookupError(f"has no field {field!r} (its fields: {_names(fields)})")
    first, *others = field.split(".")
    if first not in fields:
        raise LookupError(
            f"has no field {first!r} for {field!r} (its fields: {_names(fields)})"
        )
    value, outer = fields[first], first
    for name in others:
        if not isinstance(value, Mapping):
            raise LookupError(
                f"has no field {name!r} in {outer!r}, which is {kind_of(value)}, not an "
                "object"
            )
        if name not in value:
            raise LookupError(
                f"has no field {name!r} in {outer!r} (its fields: {_names(value)})"
            )
        value, outer = value[name], f"{outer}.{name}"
    return value


def _names(fields: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, list(fields)[:10])) or "none"


def text_problem(text: Any, field: str) -> str:
    """Return the reason why a value cannot be annotated as a text, or "".

    >>> text_problem(None, "body")
    "the field 'body' is missing (null)"
    >>> text_problem("Ada moved to Oslo", "body")
    ''
    """
    if text is None:
        return f"the field {field!r} is missing (null)"
    if not isinstance(text, str):
        return f"the field {field!r} is {kind_of(text)}, not text"
    if "\0" in text:
        return "the text holds a NUL character: it isn't text, or in UTF-16"
    if has_surrogates(text):
        return "the text isn't UTF-8"
    return ""


def record_problem(value: Any, source: str) -> str:
    """Return the reason why a parsed record cannot be used, whatever its fields mean,
    or "".

    value (Any): The record.
    source (str): The JSON that it was parsed from.

    >>> record_problem({"text": "\\ud83d"}, '{"text": "\\\\ud83d"}')
    'holds half a character (a lone surrogate)'
    """
    if source.count("[") + source.count("{") > MAX_DEPTH and _is_deep(value):
        return f"is nested more than {MAX_DEPTH} levels deep"
    # Lone surrogates can only come from escapes.
    if "\\u" in source and has_surrogates(json.dumps(value, ensure_ascii=False)):
        return "holds half a character (a lone surrogate)"
    return ""


def has_surrogates(text: str) -> bool:
    """Return whether a text contains lone surrogates, and so has no UTF-8."""
    try:
        text.encode("utf8")
    except UnicodeEncodeError:
        return True
    return False


def kind_of(value: Any) -> str:
    """Return the name of a JSON value's type, for messages."""
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "text", list: "a list", dict: "an object", type(None): "null"}
    return kinds.get(type(value), "a number")


def _is_deep(value: Any) -> bool:
    """Return whether a value is nested more than `MAX_DEPTH` levels deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for whole in level
            for part in (whole.values() if isinstance(whole, dict) else whole)
            if isinstance(part, dict | list)
        ]
        if not level:
            return False
    return True
