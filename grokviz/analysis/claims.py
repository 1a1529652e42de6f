"""Published values of a network, read from a file: the summary of the universality paper, or a table of names and values."""

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

from grokviz.checks import as_path, plain_number
from grokviz.errors import GrokvizError

MOST_BYTES = 1 << 26
COLUMNS = ("name", "value", "tolerance", "source")
USUAL_TOLERANCE = 1e-5


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
    tolerance and source, the last two of which may be empty or missing, its rows.

    Raises:
        GrokvizError: it holds none.
    """
    path = as_path("against", path)
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise GrokvizError(f"{path} has {size:,} bytes, but a file of published values has at most {MOST_BYTES:,}")
        text = path.read_text()
    except OSError as error:
        raise GrokvizError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise GrokvizError(
            f"{path} is no text; give a JSON file, or a CSV file with the columns {', '.join(COLUMNS)}"
        ) from error
    claims = _of_json(path, text) if text.lstrip().startswith("{") else _of_csv(path, text)
    if not claims:
        raise GrokvizError(f"{path} holds no values")
    return claims


def _of_json(path: Path, text: str) -> list[Claim]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GrokvizError(f"{path} is not JSON ({error})") from error
    numbers = {str(name): plain_number(value) for name, value in values.items()}
    return [
        Claim(name, float(value), USUAL_TOLERANCE, path.name) for name, value in numbers.items() if value is not None
    ]


def _of_csv(path: Path, text: str) -> list[Claim]:
    reader = csv.DictReader(io.StringIO(text))
    if not {"name", "value"} <= set(reader.fieldnames or ()):
        found = ", ".join(reader.fieldnames or ())
        raise GrokvizError(
            f"{path} has the columns {found:.80}, but needs name and value (and may have tolerance and source)"
        )
    claims = []
    for line, row in enumerate(reader, start=2):
        value = _number(path, line, "value", row["value"])
        tolerance = _number(path, line, "tolerance", row.get("tolerance") or str(USUAL_TOLERANCE))
        if not tolerance >= 0:
            raise GrokvizError(f"{path}, line {line}: tolerance is {tolerance}, but must not be negative")
        claims.append(Claim(row["name"].strip(), value, tolerance, row.get("source") or path.name))
    return claims


def _number(path: Path, line: int, name: str, text: str | None) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise GrokvizError(f"{path}, line {line}: {name} is {text!r:.40}, but must be a number")
    return number
