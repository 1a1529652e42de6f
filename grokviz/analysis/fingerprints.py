"""What a measure's value depends on, as one hash: where it is another, the stored values are computed anew.

It is the code that runs, not the text: the syntax tree of the measure and of all that it calls within grokviz (or within
the measure's own module), without comments, docstrings and annotations; the same for what makes a snapshot, which every
measure sees; the constants that the code names; and the version of torch. What a task asks and answers is compared apart,
by its tables. TransformerLens does not count: a run's checkpoints are measured without it.
"""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, cached_property
from importlib.metadata import version
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor

from grokviz.analysis.snapshot import Snapshot, snapshot_of
from grokviz.config import RunConfig, TaskConfig
from grokviz.models.weights import Weights
from grokviz.tasks.harmonics import Harmonics
from grokviz.tasks.task import Task

SEEN_BY_MEASURES = (Snapshot, Harmonics, Task, Weights, TaskConfig, RunConfig)
"""The classes whose properties and methods count where code names them."""

VERSIONS = ("torch",)

PLAIN = (bool, int, float, complex, str, bytes, type(None))
VALUES = (*PLAIN, tuple, list, set, frozenset, dict, np.ndarray, Tensor)
"""What counts by its content where code names it."""


def fingerprint(measure: Callable[..., Any]) -> str:
    """The hash of what the values of `measure` depend on."""
    function = _unwrapped(measure)
    scope = {"grokviz", *([function.__module__] if isinstance(function, FunctionType) else [])}
    found: dict[str, str] = {}
    for root in (function, _unwrapped(snapshot_of), _unwrapped(Weights.from_arrays)):
        _collect(root, scope, found)
    parts = [f"{name} = {what}" for name, what in sorted(found.items())]
    parts += [f"{name} {version(name)}" for name in VERSIONS]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _collect(function: FunctionType, scope: set[str], found: dict[str, str]) -> None:
    """Add the code of `function`, and of all that it reaches within `scope`, to `found`."""
    name = f"{function.__module__}.{function.__qualname__}"
    if name in found:
        return
    # Only what cannot change within a process is remembered: names in a notebook come to mean other things.
    own = _own_of_grokviz(function) if _in_scope(function, {"grokviz"}) else _own(function)
    found |= {name: own.code, **own.values}
    for reached in own.reached:
        if _in_scope(reached, scope):
            _collect(reached, scope, found)


@dataclass(frozen=True)
class _Own:
    """What a function is by itself: its code, the values that it names, and the functions that it may call."""

    code: str
    values: Mapping[str, str]
    reached: Sequence[FunctionType]


@cache
def _own_of_grokviz(function: FunctionType) -> _Own:
    return _own(function)


def _own(function: FunctionType) -> _Own:
    name = f"{function.__module__}.{function.__qualname__}"
    tree = _tree(function)
    values = {f"{name} defaults": described((function.__defaults__, function.__kwdefaults__))}
    reached: list[Any] = []
    for cell, value in _closure(function):
        values[f"{name} {cell}"] = described(value)
        reached.append(value)
    for used in sorted(_names(tree) if tree is not None else function.__code__.co_names):
        value = function.__globals__.get(used)
        if isinstance(value, VALUES) and used in function.__globals__:
            values[f"{function.__module__}.{used}"] = described(value)
        elif isinstance(value, ModuleType):
            reached += [getattr(value, attribute, None) for attribute in _attributes_of(used, tree)]
        else:
            reached.append(value)
        reached += [vars(seen).get(used) for seen in SEEN_BY_MEASURES]
    functions = [_function_in(value) for value in reached]
    code = _byte_code(function) if tree is None else ast.dump(tree)
    return _Own(code, values, [found for found in functions if found is not None])


def _function_in(value: Any) -> FunctionType | None:
    """The function that `value` is, wraps, or is made by; None for anything else."""
    value = _unwrapped(value)
    if isinstance(value, type):
        value = _unwrapped(vars(value).get("__post_init__"))
    return value if isinstance(value, FunctionType) else None


def _attributes_of(module: str, tree: ast.AST | None) -> list[str]:
    """What the code takes from the module that it calls `module`."""
    nodes = ast.walk(tree) if tree is not None else ()
    return [
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module
    ]


def described(value: Any) -> str:
    """`value` in words that are the same in every process: no addresses, no order of sets."""
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, np.ndarray | Tensor):
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        if array.dtype == object:
            return described(array.tolist())
        return f"{array.dtype}{array.shape}{hashlib.sha256(array.tobytes()).hexdigest()}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{described(key)}: {described(held)}' for key, held in value.items()))}}}"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(described, value)))}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(described, value))}]"
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}{described([getattr(value, part.name) for part in fields(value)])}"
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"


def _names(tree: ast.AST) -> set[str]:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _closure(function: FunctionType) -> list[tuple[str, Any]]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return [(name, cell.cell_contents) for name, cell in cells]


def _in_scope(function: FunctionType, scope: set[str]) -> bool:
    module = function.__module__ or ""  # what was executed from a text may have none
    return module in scope or module.split(".")[0] in scope


def _unwrapped(value: Any) -> Any:
    """The function in a property, a cache, or a decorator."""
    if isinstance(value, property):
        value = value.fget
    elif isinstance(value, cached_property):
        value = value.func
    elif isinstance(value, classmethod | staticmethod):
        value = value.__func__
    return inspect.unwrap(value) if callable(value) else value


def _tree(function: FunctionType) -> ast.AST | None:
    """The syntax tree of a function without what does not run; None where its source is not to be had."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError):  # typed into a bare interpreter, or a lambda amid a line
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            node.decorator_list = []
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
        if isinstance(node, ast.Raise):  # that it is refused counts, the wording does not
            node.exc = node.cause = None
    return tree


def _byte_code(function: FunctionType) -> str:
    """The byte code of a function and of those inside it."""

    def described(code: CodeType) -> str:
        constants = [described(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
        return code.co_code.hex() + repr(constants) + repr(code.co_names)

    return described(function.__code__)
