"""Checks at the border: each refuses a value in one line that names the argument, the value got, and what it must be.

A number may come from Python, numpy or torch; what a check returns is the plain number of Python. All raise GrokvizError.
"""

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, SupportsFloat

from grokviz.errors import GrokvizError

MAX_SEED = 2**63 - 1

LONGEST_SHOWN = 60

Epoch = SupportsFloat | Literal["first", "last"]
"""How an epoch may be given: by its number, or as the first or the last that there is."""


def shown(value: Any) -> str:
    """`value` as a message shows it: in one line, and not too long."""
    try:
        text = repr(value)
    except Exception:  # the repr of somebody else's object
        text = ""
    if not text or "\n" in text or (text.startswith("<") and len(text) > LONGEST_SHOWN):
        return f"a {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def plain_number(value: Any) -> int | float | None:
    """The number that `value` is, of Python, numpy or torch, a 0-d array included; None where it is none."""
    if type(value) not in (int, float) and getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def whole(name: str, value: Any, *, least: int, most: int | None = None, why: str = "", limit: str = "") -> int:
    """The whole number from `least` to `most` that `value` is; 4000.0 is one. `why` not less, `limit` why not more."""
    plain = plain_number(value)
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    reason = f": {why}" if why else ""
    if not isinstance(plain, int):
        raise GrokvizError(f"{name} is {shown(value)}, but must be a whole number, at least {least}{reason}")
    if plain < least:
        raise GrokvizError(f"{name} is {plain}, but must be at least {least}{reason}")
    if most is not None and plain > most:
        raise GrokvizError(f"{name} is {shown(plain)}, but must be at most {most}{f': {limit}' if limit else ''}")
    return plain


def seed_number(name: str, value: Any) -> int:
    """The number that `value` is, if it can seed a generator of torch."""
    return whole(name, value, least=0, most=MAX_SEED, limit="seeds have 63 bits")


def number(name: str, value: Any) -> float:
    """The finite number that `value` is."""
    plain = plain_number(value)
    if plain is None or not abs(plain) <= sys.float_info.max:
        raise GrokvizError(f"{name} is {shown(value)}, but must be a finite number")
    return float(plain)


def one_of(name: str, value: Any, choices: Collection[str]) -> None:
    """Refuse what is not one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise GrokvizError(f"{name} is {shown(value)}, which is unknown; {choose(value, choices)}")


def choose(name: Any, choices: Iterable[str], *, most: int = 12) -> str:
    """Which of `choices` to take instead of `name`: the nearest, or where none is near, all if they are not too many."""
    choices = list(choices)
    near: list[str] = []
    if isinstance(name, str) and name:
        near = [one for one in choices if one.casefold() == name.casefold()]
        near = near or [one for one in choices if one.endswith(f".{name}")] or get_close_matches(name, choices, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    more = f", ... ({len(choices)} in all)" if len(choices) > most else ""
    return f"choose one of: {', '.join(choices[:most])}{more}"


def epoch_among(epochs: Sequence[int], epoch: Any, *, what: str) -> int:
    """The one of `epochs`, which ascend, that `epoch` asks for; `what` says of whom they are, as in 'runs/quick has'."""
    if isinstance(epoch, str) and epoch in ("first", "last"):
        return epochs[0 if epoch == "first" else -1]
    plain = plain_number(epoch)
    if plain is None:
        raise GrokvizError(f"epoch is {shown(epoch)}, but must be a number, 'first' or 'last'")
    if plain not in epochs:
        near = sorted(sorted(epochs, key=lambda other: abs(other - plain))[:3])
        raise GrokvizError(f"{what} no checkpoint of epoch {plain}; the nearest are {', '.join(map(str, near))}")
    return int(plain)


def as_path(name: str, value: Any) -> Path:
    """The path that `value` is."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise GrokvizError(f"{name} is {shown(value)}, but must be a path, such as 'runs/mine'")
    return Path(value)


def refuse_existing(path: Path) -> None:
    """Refuse to write a file that is there already."""
    if path.exists():
        raise GrokvizError(f"{path} exists and is not overwritten; choose another file, or move it away")


def refuse_unwritable(path: Path) -> None:
    """Refuse a new file that could not be written: one that is there already, or whose folder is not. To be asked before the
    long work whose outcome it is to hold.
    """
    refuse_existing(path)
    folder = path.parent
    if not folder.is_dir():
        found = "is not a folder" if folder.exists() else "is not there"
        raise GrokvizError(f"{path} cannot be written: the folder {folder} {found}; make it, or choose another file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise GrokvizError(f"{path} cannot be written: the folder {folder} is read-only; choose another file")


def function(name: str, value: Any, *, called: str) -> None:
    """Refuse what is not a function; `called` says how it will be called."""
    if not callable(value):
        raise GrokvizError(f"{name} is {shown(value)}, but must be a function, called as {called}")


def same_names(what: str, got: Any, expected: set[str]) -> None:
    """Refuse what is not an object with just the fields `expected`."""
    if not isinstance(got, dict):
        raise GrokvizError(
            f"{what} is {shown(got)}, but must be an object with the fields {', '.join(sorted(expected))}"
        )
    for problem, names in (("lacks", expected - got.keys()), ("has the unknown field", got.keys() - expected)):
        if names:
            raise GrokvizError(
                f"{what} {problem} {', '.join(sorted(map(str, names)))}; was it written by another version of grokviz?"
            )
