"""The settings of a method of your own: any dataclass with ``method`` and ``window``, validated as sereno's are."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from sereno.config.model import configurations
from sereno.methods import registered


def is_settings(value: object) -> bool:
    """Return whether a value is the settings of a method that is none of sereno's."""
    if isinstance(value, type) or not dataclasses.is_dataclass(value) or type(value) in configurations().values():
        return False
    named: Any = value
    return isinstance(getattr(named, "method", None), str) and isinstance(getattr(named, "window", None), int)


def settings_class(name: str) -> type | None:
    """Return the class of a method's settings by the method's name; None where there is no such method."""
    if name in configurations():
        return configurations()[name]
    row = registered(name)
    return None if row is None else row.own_settings


def settings_of(values: dict[str, Any], cls: type) -> Any:  # noqa: ANN401
    """Return the settings that a table describes.

    Raises
    ------
    ValidationError
        Lists every fault at once, with the locations that those of sereno's own methods have.
    """
    name, faults = str(values["method"]), []
    known = {one.name for one in dataclasses.fields(cls)}
    for key in values.keys() - known:
        kind = PydanticCustomError("unexpected_keyword_argument", "unknown key")
        faults.append(InitErrorDetails(type=kind, loc=("model", name, key), input=values[key]))
    settings: Any = None
    try:
        settings = TypeAdapter(cls).validate_python({key: values[key] for key in values.keys() & known})
    except ValidationError as error:
        for item in error.errors():
            kind = PydanticCustomError(item["type"], "{said}", {"said": item["msg"]})
            faults.append(InitErrorDetails(type=kind, loc=("model", name, *item["loc"]), input=item["input"]))
    if faults:
        raise ValidationError.from_exception_data(cls.__name__, faults)
    return settings
