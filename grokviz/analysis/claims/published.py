"""Published values of a network, read from a file: the summary of the universality paper, its list of keys, or a table of names
and values.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grokviz.bounded import json_of
from grokviz.checks import as_path, plain_number
from grokviz.errors import GrokvizError

MOST_BYTES = 1 << 24
MOST_VALUES = 100_000
COLUMNS = ("name", "value", "tolerance", "source")
USUAL_TOLERANCE = 1e-5
LARGEST = 1e300
KEYS = re.compile(r"(?=[^,;]*(?:freq_|sign|standard|_?\dd))[A-Za-z]\w*(?:\s+[A-Za-z]\w*)*")
"""A list of representations, as the universality paper calls them."""


@dataclass(frozen=True)
class Claim:
    """A value as it was published."""

    name: str
    value: float
    tolerance: float
    """Relative difference up to which another value agrees with it."""
    source: str


def read_claims(path: str | Path) -> list[Claim]:
    """The values in the file at `path`: of a JSON object, its numbers by their names; of a CSV file with the columns name, value,
    tolerance and source, the last two of which may be empty or missing, its rows; of a list of representations, one a word, that
    each is key, and how many are.

    Raises:
        GrokvizError: it holds none.
    """
    path = as_path("against", path)
    if path.exists() and not path.is_file():
        raise GrokvizError(f"{path} is not a file; give one with published values")
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise GrokvizError(f"{path} has {size:,} bytes, but a file of published values has at most {MOST_BYTES:,}")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise GrokvizError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise GrokvizError(
            f"{path} is no text; give a JSON file, or a CSV file with the columns {', '.join(COLUMNS)}"
        ) from error
    if KEYS.fullmatch(text.strip()):
        claims = _of_keys(path, text.split())
    else:
        claims = _of_json(path, text) if text.lstrip().startswith("{") else _of_csv(path, text)
    if not claims:
        raise GrokvizError(f"{path} holds no values")
    return claims


def _of_json(path: Path, text: str) -> list[Claim]:
    try:
        values = json_of(text)
    except ValueError as error:
        raise GrokvizError(f"{path} is not JSON ({error})") from error
    numbers = {str(name): plain_number(value) for name, value in values.items()}
    known = {name: float(value) for name, value in numbers.items() if value is not None and abs(value) < LARGEST}
    return [Claim(name, value, USUAL_TOLERANCE, path.name) for name, value in known.items()]


def _of_keys(path: Path, names: Sequence[str]) -> list[Claim]:
    is_key = [Claim(f"is_key[{name}]", 1.0, 0.0, path.name) for name in dict.fromkeys(names)]
    return [*is_key, Claim("number_of_keys", float(len(is_key)), 0.0, path.name)]


def _of_csv(path: Path, text: str) -> list[Claim]:
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    if not {"name", "value"} <= set(reader.fieldnames or ()):
        found = ", ".join(reader.fieldnames or ())
        raise GrokvizError(
            f"{path} has the columns {found:.80}, but needs name and value (and may have tolerance and source)"
        )
    claims: list[Claim] = []
    for line, row in enumerate(_rows(path, reader), start=2):
        if None in row:
            raise GrokvizError(
                f"{path}, line {line}: there are more cells than columns; put a name with commas in quotes"
            )
        value = _number(path, line, "value", row["value"])
        tolerance = _number(path, line, "tolerance", row.get("tolerance") or str(USUAL_TOLERANCE))
        if not tolerance >= 0:
            raise GrokvizError(f"{path}, line {line}: tolerance is {tolerance}, but must not be negative")
        if len(claims) == MOST_VALUES:
            raise GrokvizError(f"{path} has more than {MOST_VALUES:,} rows; give it in parts")
        claims.append(Claim(row["name"].strip(), value, tolerance, row.get("source") or path.name))
    return claims


def _rows(path: Path, reader: "csv.DictReader[str]") -> Iterator[dict[Any, Any]]:
    try:
        yield from reader
    except csv.Error as error:
        raise GrokvizError(f"{path} is not CSV ({error})") from error


def _number(path: Path, line: int, name: str, text: str | None) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise GrokvizError(f"{path}, line {line}: {name} is {text!r:.40}, but must be a number")
    return number
