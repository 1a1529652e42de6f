"""Checks at the border: each refuses a value in one line that names the field, the value got, and what it must be.

All raise GrokvizError.
"""

import sys
from typing import Any

from grokviz.errors import GrokvizError

MAX_SEED = 2**63 - 1


def whole(name: str, value: Any, *, least: int, most: int | None = None, why: str = "") -> None:
    """Refuse what is not a whole number from `least` to `most`."""
    reason = f": {why}" if why else ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise GrokvizError(f"{name} is {value!r:.60}, but must be a whole number, at least {least}{reason}")
    if value < least:
        raise GrokvizError(f"{name} is {value}, but must be at least {least}{reason}")
    if most is not None and value > most:
        raise GrokvizError(f"{name} is {value!r:.60}, but must be at most {most}{reason}")


def seed_number(name: str, value: Any) -> None:
    """Refuse what cannot seed a generator of torch."""
    whole(name, value, least=0, most=MAX_SEED, why="seeds have 63 bits")


def number(name: str, value: Any) -> None:
    """Refuse what is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise GrokvizError(f"{name} is {value!r:.60}, but must be a finite number")


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse what is not one of `choices`."""
    if value not in choices:
        raise GrokvizError(f"{name} is {value!r}, which is unknown; choose one of: {', '.join(choices)}")


def same_names(what: str, got: Any, expected: set[str]) -> None:
    """Refuse what is not an object with just the fields `expected`."""
    if not isinstance(got, dict):
        raise GrokvizError(
            f"{what} is {got!r:.60}, but must be an object with the fields {', '.join(sorted(expected))}"
        )
    for problem, names in (("lacks", expected - got.keys()), ("has the unknown field", got.keys() - expected)):
        if names:
            raise GrokvizError(
                f"{what} {problem} {', '.join(sorted(names))}; was it written by another version of grokviz?"
            )
