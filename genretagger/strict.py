"""JSON from outside becomes a typed value, or is refused: pydantic in strict mode.

Strict means what pydantic's strict mode means for JSON: an object becomes a dataclass and a list
becomes a tuple, but a text never becomes a number, and `true` is not 1. The JSON was parsed by
`json` before, because pydantic's own parser refuses escaped surrogates, in which odd bytes of paths
and tags travel.

pydantic takes 0.2 s to import, so this module imports it when the first value is read. Child
processes that only read what their parent checked never do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from genretagger.types import Json

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator

T = TypeVar("T")

_VALUES = ("int", "float", "str", "bool", "literal")
_OBJECTS = ("dataclass-args", "typed-dict")


class UnfitError(ValueError):
    """A value from outside is not what it has to be.

    Attributes:
        keys: the way to the wrong place: names of fields and places in lists.
        kind: what is wrong, by the name that pydantic gives it, such as "missing" or "string_type".
        message: the same in words, such as "Input should be a valid string".
    """

    def __init__(self, keys: tuple[int | str, ...], kind: str, message: str) -> None:
        super().__init__(f"{'.'.join(map(str, keys)) or 'value'}: {message}")
        self.keys = keys
        self.kind = kind
        self.message = message

    @property
    def where(self) -> str:
        """The names of the fields, without places in lists: "schema.inputs"."""
        return ".".join(key for key in self.keys if isinstance(key, str))


def read(kind: Callable[..., T], value: Json, *, exact: bool = False) -> T:
    """Check a JSON value and give it as a dataclass (or any other type that pydantic knows).

    Args:
        kind: the type.
        value: as the `json` module gives it.
        exact: refuse unknown fields, and missing ones even if they have a default.

    Raises:
        UnfitError: the value is not of this type. Only the first fault is reported.
    """
    from pydantic import ValidationError

    try:
        found: T = _validator(kind, exact).validate_python(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise UnfitError(fault["loc"], fault["type"], fault["msg"]) from error
    return found


@cache
def _validator(kind: Any, exact: bool) -> SchemaValidator:
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

    return SchemaValidator(_strict(TypeAdapter(kind).core_schema, exact))


def _strict(schema: Any, exact: bool) -> Any:
    """Make the values strict and leave the shapes lax.

    With `strict=True` pydantic refuses a `dict` for a dataclass and a `list` for a tuple, unless
    it parses the JSON itself.
    """
    if isinstance(schema, list):
        return [_strict(part, exact) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if exact and kind == "default":
        return _strict(schema["schema"], exact)
    strict = {name: _strict(part, exact) for name, part in schema.items()}
    if kind in _VALUES:
        strict["strict"] = True
    elif exact and kind in _OBJECTS:
        strict["extra_behavior"] = "forbid"
    return strict
