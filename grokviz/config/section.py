"""What the sections of a configuration share: they refuse nonsense, a field that they do not have first of all."""

from collections.abc import Mapping
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar, cast

from grokviz.checks import choose
from grokviz.errors import GrokvizError

S = TypeVar("S")


class Section:
    """A section: a frozen dataclass. The docstring under a field is its documentation and its help on the command line."""

    def __getstate__(self) -> dict[str, Any]:
        """Pickled as what it says, without what was worked out from that."""
        return fields_of(self)


def fields_of(section: Any) -> dict[str, Any]:
    """The fields of a dataclass with their values."""
    return {part.name: getattr(section, part.name) for part in fields(section)}


def refusing_unknown_fields(section: type[S]) -> type[S]:
    """Make a section refuse a field that it does not have with the nearest, and with the section where it belongs."""
    made = section.__init__

    @wraps(made)
    def init(self: Any, **values: Any) -> None:
        names = [part.name for part in fields(cast(Any, section))]
        for name in values:
            if name not in names:
                raise GrokvizError(f"{section.__name__} has no field {name!r}; {_place_of(name, names)}")
        made(self, **values)

    section.__init__ = init  # type: ignore[method-assign]
    return section


def _place_of(name: str, names: list[str]) -> str:
    for section in Section.__subclasses__():
        if name in (part.name for part in fields(cast(Any, section))):
            return f"{section.__name__} has it"
    return choose(name, names, most=len(names))


def without_defaults(section: type[Section], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a section's `values` that are not what it has by itself: so that a new field makes no difference to what is
    old.
    """
    defaults = fields_of(section())
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return {name: value for name, value in plain.items() if value != defaults.get(name)}


def put(section: Any, **values: Any) -> None:
    """Put the plain values in the place of those that were given, while a frozen section is made."""
    for name, value in values.items():
        object.__setattr__(section, name, value)
