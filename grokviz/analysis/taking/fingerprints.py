"""What a measure's value depends on, as one hash: where it is another, the stored values are computed anew.

It is the code that runs, not the text: the syntax tree of the measure and of all of grokviz's and of the user's own code that it
reaches, without comments, docstrings and annotations; the same for what makes a snapshot, which every measure sees; and all that
this code reaches, whether by a closure, a default, a name, a partial or a method: arrays by their bytes, modules of torch by
their state, any other object by its class and its state. Installed code counts by the version of its package. What a task asks
and answers is compared apart, by its tables. TransformerLens does not count: a run's checkpoints are measured without it.

The hash is the same in every process. What cannot be told from another so, such as an open file, has none.
"""

import copyreg
import functools
import hashlib
import inspect
import sys
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grokviz.analysis.taking.code import Code, code_of, is_grokviz, is_installed, version_of
from grokviz.analysis.taking.generators import KINDS, GeneratorState
from grokviz.analysis.taking.interventions.acting import Changed, Work
from grokviz.analysis.taking.interventions.intervention import Intervention, Scene
from grokviz.analysis.taking.snapshot import Snapshot, snapshot_of
from grokviz.config import RunConfig, TaskConfig
from grokviz.models.architecture import Blueprint
from grokviz.models.architectures import ARCHITECTURES
from grokviz.models.weights import Weights
from grokviz.tasks.blocks import Blocks
from grokviz.tasks.harmonics import Harmonics
from grokviz.tasks.irreps import rows_of
from grokviz.tasks.task import Task

SEEN_BY_MEASURES = (Snapshot, Scene, Harmonics, Blocks, Task, Weights, Blueprint, TaskConfig, RunConfig)
"""The classes of grokviz whose properties and methods count where code of measures and interventions names them."""

PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), range, torch.dtype, torch.device)
"""What is told from others by its repr."""

LAWS = tuple(
    f"grokviz.tasks.{module}"
    for module in (
        *("group_law", "group_operation", "groups", "irrep_names", "isomorphisms", "law", "numberings"),
        *("operations", "own_operation", "reading", "recipes"),
    )
)
"""The modules that make what a task asks and answers, and its blocks: their code does not count, for that is compared by its
tables.
"""

OF_EVERY_CLASS = {
    *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__firstlineno__"),
    *("__static_attributes__", "__match_args__", "__slots__", "_abc_impl", "__abstractmethods__", "__parameters__"),
    *("__orig_bases__", "__dataclass_params__"),
}
"""Members of a class that say nothing of what it does."""

OF_EVERY_MODULE = set(vars(torch.nn.Module()))
"""Attributes in which every module of torch keeps its parts."""

TYPE_CHECKERS = ("jaxtyping", "beartype", "typeguard")

WRITTEN_IN_PYTHON = 1 << 9
"""The flag of a class that was made by a class statement."""


class UntellableError(Exception):
    """Something that cannot be told from another of its kind in another process; the message says what."""


@dataclass(frozen=True)
class Reached:
    """What a measure reaches: its own code, and all that this uses."""

    fingerprint: str
    """Hash of it all; '' where it cannot be told."""
    why_not: str
    """Why it cannot be told from another; '' where it can."""
    generators: tuple[GeneratorState, ...]
    """The generators of random numbers among it, with the state that each was found in."""


def reached_by(measure: Callable[..., Any]) -> Reached:
    """What the values of `measure` depend on."""
    return _reached(measure, _Walk())


def _reached(measure: Callable[..., Any], walk: "_Walk") -> Reached:
    try:
        parts = [walk.digest(measure), _what_makes_snapshots()]
    except UntellableError as error:
        return Reached("", str(error), tuple(walk.generators.values()))
    except RecursionError:
        return Reached("", "it reaches something nested too deeply to be hashed", tuple(walk.generators.values()))
    return Reached(_hash("measure", *parts, version_of("torch"))[:16], "", tuple(walk.generators.values()))


@cache
def reached_by_own(measure: Callable[..., Any]) -> Reached:
    """What the values of a measure of grokviz depend on, which does not change within a process."""
    return _reached(measure, _walk_through_own())


@cache
def _walk_through_own() -> "_Walk":
    """One walk for all measures of grokviz, which reach much of the same."""
    return _Walk()


@cache
def _what_makes_snapshots() -> str:
    """The hash of the code that every measure sees the outcome of, which does not change within a process."""
    walk = _Walk()
    computations = [architecture.computation() for architecture in ARCHITECTURES.values()]  # which no code names
    return _hash(*(walk.digest(root) for root in (snapshot_of, Weights.from_arrays, computations, rows_of)))


def identity_of(intervention: Intervention) -> str:
    """What tells an intervention from others, in every process: where it acts, what it must see, and its function, by its values
    and its code. '' where that cannot be told. Its name and its controls do not count.
    """
    walk, function = _Walk(), intervention.function
    try:
        parts = [walk.digest(part) for part in (intervention.at, intervention.needs, function)]
    except (UntellableError, RecursionError):
        return ""
    is_ours = not isinstance(function, FunctionType) and is_grokviz(_module_of(type(function)))
    kind: Any = type(function)
    code = _code_of_calls(kind) if is_ours else ""
    return _hash("intervention", *parts, code, _what_makes_snapshots(), _what_acts())[:16]


@cache
def _code_of_calls(cls: type) -> str:
    """The hash of what the objects of a class of grokviz do when they are called."""
    return _walk_through_own().digest(vars(cls)["__call__"])


@cache
def _what_acts() -> str:
    """The hash of the code that lets interventions act, and that notes how much they change."""
    walk, members = _Walk(), [*sorted(vars(Work).items()), *sorted(vars(Changed).items())]
    acting = [held for name, held in members if isinstance(held, FunctionType | property) and name[:2] != "__"]
    return _hash(*map(walk.digest, acting))


def generators_of(functions: Iterable[Callable[..., Any]]) -> list[GeneratorState]:
    """The generators of random numbers that `functions` reach, as far as can be told, with the state that they are in."""
    walk = _Walk()
    for function in functions:
        try:
            walk.digest(function)
        except (UntellableError, RecursionError):
            continue
    return list(walk.generators.values())


def described(value: Any) -> str:
    """The hash of `value`: the same in every process, and of equal things.

    Raises:
        UntellableError: it cannot be told from another of its kind.
    """
    return _Walk().digest(value)


def _hash(*parts: str) -> str:
    whole = hashlib.sha256()
    for part in parts:
        encoded = part.encode(errors="surrogatepass")
        whole.update(f"{len(encoded)}:".encode() + encoded)
    return whole.hexdigest()


class _Walk:
    """One walk through all that something reaches. A class, because it notes what it has seen: objects may hold each other.

    The hash of an object is that of the tree of what it reaches, in which an object that is met again below itself is told by how
    far above it is. So it does not depend on what the walk has seen before: what is known of an object that is in a circle with
    one that is being looked at would be another tree, and is not taken.
    """

    def __init__(self) -> None:
        self.generators: dict[int, GeneratorState] = {}
        self._above: dict[int, int] = {}
        """The depth of each object that is being looked at."""
        self._done: dict[int, str] = {}
        self._circle: dict[int, int] = {}
        """Of each object that is in a circle with others: which circle."""
        self._circles_above: list[int] = []
        """Those of what is being looked at."""
        self._unfinished: list[int] = []
        """Objects that speak of something above them that is still being looked at: they are in a circle with it."""
        self._alive: list[Any] = []
        """All that was seen, so that no other object comes to have the same id."""
        self._highest = sys.maxsize
        """The least depth of what is being looked at that was met again."""

    def digest(self, value: Any) -> str:
        """The hash of `value`, and of all that it reaches."""
        if type(value) in PLAIN:
            return f"{type(value).__name__} {value!r}"
        value = _unchecked(value)
        key = id(value)
        if key in self._above:
            self._highest = min(self._highest, self._above[key])
            return f"above {len(self._above) - self._above[key]}"
        circle = self._circle.get(key, key)
        if key in self._done and circle not in self._circles_above:
            return self._done[key]
        self._alive.append(value)
        depth = self._above[key] = len(self._above)
        outer, self._highest = self._highest, sys.maxsize
        before = len(self._unfinished)
        self._circles_above.append(circle)
        try:
            found = _hash(*self._parts(value))
        except (UntellableError, RecursionError):
            del self._unfinished[before:]
            raise
        finally:
            self._circles_above.pop()
            del self._above[key]
            highest, self._highest = self._highest, outer
        if highest >= depth:  # it speaks of nothing above it: so ends the circle that was entered here, if there is one
            self._done[key] = found
            for member in (*self._unfinished[before:], key):
                self._circle.setdefault(member, circle)
            del self._unfinished[before:]
        else:
            self._highest = min(outer, highest)
            self._unfinished.append(key)
        return found

    def _parts(self, value: Any) -> Iterator[str]:
        kind = type(value)
        if kind in (tuple, list):
            yield kind.__name__
            yield from map(self.digest, value)
        elif kind in (set, frozenset):
            yield kind.__name__
            yield from sorted(map(self.digest, value))
        elif kind in (dict, MappingProxyType):
            yield from self._of_mapping(value)
        elif isinstance(value, KINDS):
            yield from self._of_generator(value)
        elif isinstance(value, np.generic) or kind is np.ndarray:
            yield from self._of_array(np.asarray(value))
        elif isinstance(value, Tensor):
            yield from self._of_tensor(value)
        elif isinstance(value, FunctionType):
            yield from self._of_function(value)
        elif isinstance(value, type):
            yield from self._of_class(value)
        elif isinstance(value, ModuleType):
            yield from _of_module(value)
        elif isinstance(value, torch.nn.Module):
            yield from self._of_torch_module(value)
        else:
            yield from self._of_callable_or_object(value)

    def _of_mapping(self, value: Mapping[Any, Any]) -> Iterator[str]:
        yield "dict"
        yield from sorted(f"{self.digest(key)}: {self.digest(held)}" for key, held in value.items())

    def _of_generator(self, value: Any) -> Iterator[str]:
        yield f"generator {type(value).__qualname__}"
        try:
            found = self.generators.setdefault(id(value), GeneratorState.of(value))
        except NotImplementedError as error:
            raise UntellableError(f"it draws from a {type(value).__name__}, which has no state") from error
        yield self.digest(found.state)

    def _of_array(self, array: np.ndarray) -> Iterator[str]:
        yield f"array {array.dtype.str} {array.dtype.descr if array.dtype.names else ''} {array.shape}"
        if array.dtype.hasobject:
            yield self.digest(array.tolist())
        else:
            yield hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()

    def _of_tensor(self, tensor: Tensor) -> Iterator[str]:
        if type(tensor) not in (Tensor, torch.nn.Parameter, torch.nn.Buffer):
            yield self.digest(type(tensor))
        plain = tensor.detach()
        if plain.layout is not torch.strided:
            yield f"tensor {plain.layout}"
            plain = plain.to_dense()
        if plain.device.type == "meta" or plain.is_quantized:
            raise UntellableError(f"it reaches a tensor of {plain.device if not plain.is_quantized else plain.dtype}")
        plain = plain.cpu().resolve_conj().resolve_neg().contiguous()
        yield f"tensor {plain.dtype} {tuple(plain.shape)}"
        yield hashlib.sha256(plain.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()

    def _of_function(self, function: FunctionType) -> Iterator[str]:
        """The function's code, and the values that it is made with and names."""
        name = f"{function.__module__}.{function.__qualname__}"
        module = str(function.__globals__.get("__name__", ""))
        ours = is_grokviz(module)
        if not ours and is_installed(function.__code__.co_filename):
            yield f"installed {name} {version_of(module or name)}"
            yield self.digest(_closure(function))  # of a decorator, what it was given
            return
        if module in LAWS:
            yield f"of the law {name}"
            return
        code = _code_of_grokviz(function) if ours else code_of(function)
        yield f"function {function.__name__}"
        yield code.text
        yield self.digest((function.__defaults__, function.__kwdefaults__))
        named = self._named_by(function, code, follow_imports=not ours)
        yield from (f"{said}: {self.digest(held)}" for said, held in sorted(named.items()))
        if not ours:
            rest = {key: held for key, held in vars(function).items() if key != "__wrapped__"}
            yield self.digest(rest)

    def _named_by(self, function: FunctionType, code: Code, *, follow_imports: bool) -> dict[str, Any]:
        """What the code of a function finds under the names in it, by these names."""
        scope = ChainMap(_imported(code, function) if follow_imports else {}, _closure(function), function.__globals__)
        found: dict[str, Any] = {}
        for chain in code.chains if code.chains is not None else {(name,) for name in code.names}:
            if chain[0] not in scope:
                continue
            value, said = scope[chain[0]], chain[0]
            for attribute in chain[1:]:
                if not isinstance(value, ModuleType):
                    break
                value, said = getattr(value, attribute, None), f"{said}.{attribute}"
            if isinstance(value, ModuleType) and code.chains is None:
                found |= _members_named(value, code.names)
            else:
                found[said] = value
        found |= {f"cell {name}": held for name, held in _closure(function).items() if not isinstance(held, ModuleType)}
        for name in (name for name in code.names if not name.startswith("__")):
            found |= {f"{seen.__name__}.{name}": vars(seen)[name] for seen in SEEN_BY_MEASURES if name in vars(seen)}
        return found

    def _of_class(self, cls: type) -> Iterator[str]:
        yield f"class {_module_of(cls)}.{cls.__qualname__}"
        if is_grokviz(_module_of(cls)):  # its other members count where code names them: SEEN_BY_MEASURES
            yield self.digest(vars(cls).get("__post_init__"))
            return
        if not _is_users(cls):
            yield version_of(_module_of(cls))
            return
        yield from map(self.digest, (*cls.__bases__, type(cls)))
        for member, held in sorted(vars(cls).items()):
            if member not in OF_EVERY_CLASS and not isinstance(held, GetSetDescriptorType | MemberDescriptorType):
                yield f"{member}: {self.digest(held)}"

    def _of_torch_module(self, module: torch.nn.Module) -> Iterator[str]:
        """Of a module and each in it: its class, whether it trains, parameters, buffers, and what else it holds."""
        yield self.digest(type(module))
        yield f"training {module.training}"
        own = {name: held for name, held in vars(module).items() if name not in OF_EVERY_MODULE}
        yield self.digest(own)
        for part in ("_parameters", "_buffers", "_modules"):
            yield self.digest(dict(vars(module)[part]))
        hooks = [name for name in vars(module) if name in OF_EVERY_MODULE and "hooks" in name]
        for name in sorted(hooks):
            if isinstance(held := vars(module)[name], Mapping) and held:
                yield f"{name}: {self.digest(list(held.values()))}"

    def _of_callable_or_object(self, value: Any) -> Iterator[str]:
        if isinstance(value, functools.partial):
            yield "partial"
            yield from map(self.digest, (value.func, value.args, value.keywords))
        elif isinstance(value, MethodType):
            yield "method"
            yield from map(self.digest, (value.__func__, value.__self__))
        elif isinstance(value, property):
            yield "property"
            yield from map(self.digest, (value.fget, value.fset))
        elif isinstance(value, cached_property):
            yield self.digest(value.func)
        elif isinstance(value, classmethod | staticmethod):
            yield type(value).__name__
            yield self.digest(value.__func__)
        elif isinstance(value, functools._lru_cache_wrapper):
            yield self.digest(value.__wrapped__)
        elif isinstance(value, BuiltinFunctionType | MethodWrapperType):
            yield f"builtin {getattr(value, '__module__', '')}.{value.__qualname__}"
            if not isinstance(value.__self__, ModuleType):  # a method of something
                yield self.digest(value.__self__)
        else:
            yield from self._of_object(value)

    def _of_object(self, value: Any) -> Iterator[str]:
        """The class of an object, and the state that it would be made again from."""
        cls = type(value)
        yield self.digest(cls)
        is_users = _is_users(cls) or is_grokviz(_module_of(cls))
        if is_users:
            cached = {name for base in cls.__mro__ for name, held in vars(base).items() if _is_cached(held)}
            state = {**_slots(value), **getattr(value, "__dict__", {})}
            yield self.digest({name: held for name, held in state.items() if name not in cached})
            if all(base is object or base.__flags__ & WRITTEN_IN_PYTHON for base in cls.__mro__):
                return
        elif _is_found_by_name(value):
            yield f"{value.__module__}.{getattr(value, '__qualname__', value.__name__)}"
            return
        try:
            registered = copyreg.dispatch_table.get(cls)
            made = registered(value) if registered else value.__reduce_ex__(4)
        except Exception as error:
            raise UntellableError(f"it reaches a {cls.__name__}, which cannot be told from another") from error
        if isinstance(made, str):
            yield made
            return
        function, arguments, state, items, pairs = (*made, None, None, None)[:5]
        yield self.digest(function)
        yield self.digest([argument for argument in arguments if argument is not cls])
        yield "" if is_users else self.digest(state)
        yield self.digest(list(items or ()))
        yield self.digest(dict(pairs or ()))


def _unchecked(value: Any) -> Any:
    """A function without what checks the types of its arguments, which says nothing of its value."""
    while isinstance(value, FunctionType) and value.__globals__.get("__name__", "").split(".")[0] in TYPE_CHECKERS:
        if (wrapped := getattr(value, "__wrapped__", None)) is None:
            break
        value = wrapped
    return value


def _is_found_by_name(value: Any) -> bool:
    """Whether an object is what its module has under its name, as a function written in C."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", getattr(value, "__name__", None))
    return isinstance(module, str) and isinstance(name, str) and vars(sys.modules.get(module, sys)).get(name) is value


def _module_of(cls: type) -> str:
    return cls.__module__ if isinstance(cls.__module__, str) else ""


def _is_users(cls: type) -> bool:
    """Whether a class was written neither in grokviz nor in what is installed."""
    module = _module_of(cls)
    if not cls.__flags__ & WRITTEN_IN_PYTHON or is_grokviz(module):
        return False
    home = sys.modules.get(module)
    if home is None or module == "__main__":
        return True
    file = getattr(home, "__file__", None)
    if file is None:  # of Python or of Cython; or executed from a text, which has no module of its own
        return module == "builtins" and not hasattr(home, cls.__name__)
    return not is_installed(file)


def _of_module(module: ModuleType) -> Iterator[str]:
    """A module as it is named; one of the user's own by its text, for who holds it may use all of it."""
    file = getattr(module, "__file__", None)
    yield f"module {module.__name__} {version_of(module.__name__)}"
    if file is not None and not is_installed(file) and not is_grokviz(module.__name__):
        yield inspect.getsource(module)


def _members_named(module: ModuleType, names: Iterable[str]) -> dict[str, Any]:
    """What is in `module` under `names`; also in the modules among these."""
    found: dict[str, Any] = {}
    for name in names:
        held = vars(module).get(name)
        if isinstance(held, ModuleType):
            inside = (n for n in names if not isinstance(vars(held).get(n), ModuleType))
            found |= {f"{module.__name__}.{said}": each for said, each in _members_named(held, list(inside)).items()}
        elif name in vars(module):
            found[f"{module.__name__}.{name}"] = held
    return found


@cache
def _code_of_grokviz(function: FunctionType) -> Code:
    """Only what cannot change within a process is remembered: names in a notebook come to mean other things."""
    return code_of(function)


def _closure(function: FunctionType) -> dict[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells if not _is_empty(cell)}


def _is_empty(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - raises where nothing is in it yet
    except ValueError:
        return True
    return False


def _imported(code: Code, function: FunctionType) -> dict[str, Any]:
    """What a function imports itself, by the names that it gives it."""
    found: dict[str, Any] = {}
    for module, name, called in code.imports:
        try:
            imported = import_module(module, function.__globals__.get("__package__"))
            found[called] = getattr(imported, name) if name else imported
        except Exception as error:
            raise UntellableError(f"it imports {module}, which cannot be imported ({type(error).__name__})") from error
    return found


def _slots(value: Any) -> dict[str, Any]:
    """What an object holds in slots."""
    names = [
        name
        for base in type(value).__mro__
        for name, held in vars(base).items()
        if isinstance(held, MemberDescriptorType)
    ]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _is_cached(member: Any) -> bool:
    return isinstance(member, cached_property)
