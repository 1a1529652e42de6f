"""An operation of one's own: a function, called for every pair, whose answers are recorded.

What a run keeps of it is the answers. So a run opens, is measured and goes on where the function is not at hand, as that of
a notebook is not; and opening a run never imports what a file names.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from grokviz.bounded import packed, unpacked
from grokviz.checks import plain_number, same_names, shown
from grokviz.errors import GrokvizError
from grokviz.tasks.law import Law

Function = Callable[[int, int, int], int]

NO_HARMONICS = "no harmonics are known for an operation of one's own"

MAX_OWN_P = 2**11
"""Four million calls, some seconds."""


@dataclass(frozen=True)
class OwnOperation:
    """The operation that a function gives mod p, as recorded."""

    function: str
    """Where it stands: 'package.module:function'."""
    source: str
    """SHA-256 of its source code; '' where that is not to be had."""
    p: int
    answers: str
    """The answer of every pair of residues in row-major order, as 16-bit numbers, packed by zlib, in base64."""
    live: Function | None = field(default=None, compare=False, repr=False)
    """The function itself, where it is at hand."""

    def __str__(self) -> str:
        return self.function

    def __call__(self, a: int, b: int, p: int) -> int:
        """The recorded answer of (a, b). Being callable, it can be given wherever a function can."""
        return int(self.table()[a, b])

    @property
    def is_importable(self) -> bool:
        """Whether a module can be asked for it by its name: it is not of a notebook, and not inside a function."""
        module, _, name = self.function.partition(":")
        return module != "__main__" and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))

    def table(self) -> Int[np.ndarray, "a b"]:
        """The answers.

        Raises:
            GrokvizError: they are not p² residues, which nothing of grokviz writes.
        """
        return _table(self.answers, self.p)

    def law(self) -> Law:
        """The law as tasks know it."""
        return _law(self)

    def at(self, p: int) -> "OwnOperation":
        """The same function mod p. Where it comes from a file, what the file names is not imported for that.

        Raises:
            GrokvizError: p is another than before, and the function is not at hand.
        """
        if p == self.p:
            return self
        if self.live is None:
            raise GrokvizError(
                f"operation {self.function} is recorded for p = {self.p}, not {p}, and its function is not at hand; "
                "give the function itself: operation=..."
            )
        return replace(recorded(self.live, p), function=self.function)

    def to_dict(self) -> dict[str, Any]:
        """What a file keeps."""
        return {"function": self.function, "source": self.source, "p": self.p, "answers": self.answers}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "OwnOperation":
        """The operation that `to_dict` wrote, or somebody else: it is checked.

        Raises:
            GrokvizError: it is none.
        """
        same_names("operation", values, {"function", "source", "p", "answers"})
        p = plain_number(values["p"])
        texts = [values[name] for name in ("function", "source", "answers")]
        if not isinstance(p, int) or not all(isinstance(text, str) for text in texts):
            raise GrokvizError(f"operation is {shown(values)}, which no version of grokviz has written")
        operation = cls(values["function"], values["source"], p, values["answers"])
        operation.table()
        return operation


def recorded(function: Function | str, p: int) -> OwnOperation:
    """`function`, or the one that 'package.module:function' names, called for all pairs of residues mod p as
    `function(a, b, p)`, with whole numbers of Python.

    Raises:
        GrokvizError: there is no such function, or what it gives is not a residue mod p.
    """
    if p > MAX_OWN_P:
        raise GrokvizError(
            f"p is {p}, but must be at most {MAX_OWN_P} for an operation of one's own, which is called for each of the p² pairs"
        )
    live = function_at(function) if isinstance(function, str) else function
    name = function if isinstance(function, str) else _reference(function)
    answers = np.empty((p, p), dtype="<u2")
    for a in range(p):
        for b in range(p):
            answers[a, b] = _answer(live, name, a, b, p)
    return OwnOperation(name, _source_hash(live), p, packed(answers.tobytes()), live)


def function_at(reference: str) -> Function:
    """The function that 'package.module:function' names; modules of the current directory are found, too.

    Raises:
        GrokvizError: there is none; the message says what is missing.
    """
    module_name, _, name = reference.partition(":")
    try:
        sys.path.insert(0, str(Path.cwd()))
        try:
            module = import_module(module_name)
        finally:
            sys.path.pop(0)
    except Exception as error:  # somebody else's module may raise anything while it is imported
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise GrokvizError(
            f"operation is {reference!r}, but the module {module_name!r} cannot be imported ({reason}); "
            "give it as 'package.module:function', or give the function itself in Python"
        ) from error
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise GrokvizError(
            f"operation is {reference!r}, but {module_name!r} has no function {name!r}; give it as 'package.module:function'"
        )
    return found


def _answer(function: Function, name: str, a: int, b: int, p: int) -> int:
    try:
        result = function(a, b, p)
    except Exception as error:
        raise GrokvizError(
            f"operation {name} failed at a = {a}, b = {b}, p = {p} ({type(error).__name__}: {error}); it is called as "
            "function(a, b, p)"
        ) from error
    answer = plain_number(result)
    answer = int(answer) if isinstance(answer, float) and answer.is_integer() else answer
    if not isinstance(answer, int) or not 0 <= answer < p:
        raise GrokvizError(
            f"operation {name} gives {shown(result)} at a = {a}, b = {b}, but must give a whole number from 0 to {p - 1}; "
            "reduce it mod p"
        )
    return answer


def _reference(function: Any) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', None) or '__main__'}:{name}"


def _source_hash(function: Any) -> str:
    try:
        return hashlib.sha256(inspect.getsource(inspect.unwrap(function)).encode()).hexdigest()
    except (OSError, TypeError):
        return ""


@cache
def _law(own: OwnOperation) -> Law:
    return Law(
        operation=own.function,
        p=own.p,
        formula=f"{own.function.rpartition(':')[2]}(a, b) mod p",
        elements=np.arange(own.p),
        make_table=own.table,
        make_blocks=lambda: None,
        why_no_blocks=NO_HARMONICS,
    )


@cache
def _table(answers: str, p: int) -> Int[np.ndarray, "a b"]:
    if not 1 <= p <= MAX_OWN_P:
        raise GrokvizError(f"the recorded answers of the operation are mod {p}, but p must be 1 to {MAX_OWN_P}")
    try:
        content = unpacked(answers, 2 * p * p)
    except ValueError as error:
        raise GrokvizError(
            f"the recorded answers of the operation are not those of the {p * p} pairs mod {p} ({error})"
        ) from error
    table = np.frombuffer(content, dtype="<u2").astype(np.int64).reshape(p, p)
    table.flags.writeable = False
    if table.max() >= p:
        raise GrokvizError(f"the recorded answers of the operation hold {table.max()}, which is not a residue mod {p}")
    return table
