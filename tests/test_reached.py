"""What a measure of one's own reaches decides whether its stored values hold: objects by their content, in every process."""

import abc
import collections
import dataclasses
import datetime
import enum
import functools
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from einops import rearrange
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

import grokviz
from grokviz.analysis.taking.fingerprints import described, reached_by
from grokviz.analysis.taking.measures.performance import loss
from grokviz.analysis.taking.snapshot import Snapshot

SCALE = 1.0


class Probe(torch.nn.Module):
    """A linear probe, as a notebook defines it."""

    def __init__(self, seed: int, factor: float = 1.0) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 2)
        self.factor = factor
        self.register_buffer("shift", torch.zeros(2), persistent=False)
        with torch.no_grad():
            generator = torch.Generator().manual_seed(seed)
            for values in self.parameters():
                values.copy_(torch.randn(values.shape, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.factor + self.shift


class Plain:
    """An object with slots, an attribute, and something cached."""

    __slots__ = ("__dict__", "slotted")

    def __init__(self, value: Any) -> None:
        self.slotted, self.value = value, [value]

    @functools.cached_property
    def costly(self) -> float:
        return float(np.sum(self.value))

    def __call__(self, x: float) -> float:
        return x * self.costly


def probing(thing: Any) -> Callable[[Snapshot], Tensor]:
    """A measure that closes over `thing`."""

    def mine(snapshot: Snapshot) -> Float[Tensor, ""]:
        return torch.tensor(number_in(thing))

    return mine


def number_in(thing: Any) -> float:
    """Some number that depends on `thing`."""
    if isinstance(thing, torch.nn.Module):
        return float(thing(torch.ones(4)).detach().sum())
    if isinstance(thing, functools.partial):
        return number_in([*thing.args, *thing.keywords.values()])
    if isinstance(thing, Plain):
        return float(thing(1.0))
    if isinstance(thing, dict | list | tuple):
        return float(sum(number_in(each) for each in (thing.values() if isinstance(thing, dict) else thing)))
    return float(np.sum(np.asarray(thing.to_dense() if isinstance(thing, Tensor) else thing, dtype=float)))


def fingerprint(thing: Any) -> str:
    reached = reached_by(probing(thing))
    assert reached.fingerprint, reached.why_not
    return reached.fingerprint


@pytest.fixture
def copy(tiny_run: grokviz.Run, tmp_path: Path) -> grokviz.Run:
    """A copy of the tiny run that may be measured again."""
    return grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path / "copy"))


def test_a_measure_that_closes_over_another_probe_is_another_measure(copy: grokviz.Run) -> None:
    first = grokviz.measure(copy, probing(Probe(1)))["mine"]
    second = grokviz.measure(copy, probing(Probe(2)))["mine"]
    assert (first != second).all()
    np.testing.assert_allclose(second, number_in(Probe(2)), rtol=1e-6)


PAIRS_THAT_DIFFER: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
    (lambda: Probe(1), lambda: Probe(2)),
    (lambda: Probe(1), lambda: Probe(1, factor=2.0)),
    (lambda: Probe(1), lambda: Probe(1).eval()),
    (lambda: Probe(1), lambda: changed(Probe(1), lambda p: p.shift.add_(1))),
    (lambda: Probe(1), lambda: changed(Probe(1), lambda p: p.register_forward_hook(doubling))),
    (lambda: torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()), lambda: torch.nn.Sequential(torch.nn.ReLU())),
    (lambda: np.ones(3), lambda: np.ones(3, dtype=np.float32)),
    (lambda: np.ones((2, 3)), lambda: np.ones((3, 2))),
    (lambda: np.array([1.0, None], dtype=object), lambda: np.array([2.0, None], dtype=object)),
    (lambda: torch.ones(2, dtype=torch.bfloat16), lambda: torch.ones(2, dtype=torch.float16)),
    (lambda: torch.eye(3), lambda: torch.eye(3).to_sparse()),
    (lambda: torch.tensor([1j]), lambda: torch.tensor([1j]).conj()),
    (lambda: np.float64(1), lambda: np.float32(1)),
    (lambda: 1, lambda: True),
    (lambda: 0.0, lambda: -0.0),
    (lambda: [1, 2], lambda: (1, 2)),
    (lambda: [[1], 2], lambda: [1, [2]]),
    (lambda: "ab", lambda: ["a", "b"]),
    (lambda: {"a": 1}, lambda: {"a": 2}),
    (lambda: Plain(1.0), lambda: Plain(2.0)),
    (lambda: functools.partial(probing, Probe(1)), lambda: functools.partial(probing, Probe(2))),
    (lambda: functools.partial(sorted, reverse=True), lambda: functools.partial(sorted)),
    (lambda: Plain(1.0).__call__, lambda: Plain(2.0).__call__),
    (lambda: [1.0, 2.0].index, lambda: [1.0, 3.0].index),
    (lambda: (lambda x: x + 1, lambda x: x + 2)[0], lambda: (lambda x: x + 1, lambda x: x + 2)[1]),
    (lambda: (made(1), made(2)), lambda: (made(2), made(1))),
    (lambda: scaled(1.0)(loss), lambda: scaled(2.0)(loss)),
    (lambda: functools.update_wrapper(functools.partial(adding, 1.0), adding), lambda: functools.partial(adding, 2.0)),
    (lambda: np.random.default_rng(1), lambda: np.random.default_rng(2)),
    (lambda: np.random.RandomState(1), lambda: np.random.RandomState(2)),
    (lambda: random.Random(1), lambda: random.Random(2)),
    (lambda: torch.Generator().manual_seed(1), lambda: torch.Generator().manual_seed(2)),
    (lambda: np.mean, lambda: np.median),
    (lambda: torch.sum, lambda: torch.mean),
]


def changed(thing: Any, change: Callable[[Any], object]) -> Any:
    change(thing)
    return thing


def doubling(module: torch.nn.Module, inputs: object, output: Tensor) -> Tensor:
    return 2 * output


def made(number: float) -> Callable[[], float]:
    return lambda: number


def adding(number: float, x: float) -> float:
    return number + x


def scaled(factor: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator with an argument."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*arguments: Any) -> Any:
            return factor * function(*arguments)

        return wrapper

    return decorate


@pytest.mark.parametrize("pair", PAIRS_THAT_DIFFER, ids=range(len(PAIRS_THAT_DIFFER)))
def test_what_is_reached_counts_by_its_content(pair: tuple[Callable[[], Any], Callable[[], Any]]) -> None:
    one, other = pair
    torch.manual_seed(0)
    a = fingerprint(one())
    torch.manual_seed(0)
    assert a == fingerprint(one())
    assert a != fingerprint(other())


def test_a_cached_value_and_the_order_of_a_dict_or_set_do_not_count() -> None:
    used = Plain(3.0)
    assert used(1.0) == 3.0
    assert fingerprint(used) == fingerprint(Plain(3.0))
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


def test_objects_that_hold_each_other_are_hashed() -> None:
    def ring(value: int) -> list[Any]:
        inner: list[Any] = [value]
        inner.append([inner])
        return inner

    assert described(ring(1)) == described(ring(1)) != described(ring(2))


def test_a_wrapped_partial_is_told_by_its_arguments(copy: grokviz.Run) -> None:
    def shifted(snapshot: Snapshot, by: Any = 0.0) -> Float[Tensor, ""]:
        return torch.tensor(float(np.sum(by)))

    for by in (np.array([1.0]), np.array([2.0, 3.0])):
        mine = functools.update_wrapper(functools.partial(shifted, by=by), shifted)
        assert (grokviz.measure(copy, mine)["shifted"] == by.sum()).all()


def test_a_method_of_an_object_is_a_measure_told_by_the_object(copy: grokviz.Run) -> None:
    class Holder:
        def __init__(self, value: float) -> None:
            self.value = value

        def held(self, snapshot: Snapshot) -> Float[Tensor, ""]:
            """What it holds."""
            return torch.tensor(self.value)

    for value in (1.0, 2.0):
        assert (grokviz.measure(copy, Holder(value).held)["held"] == value).all()


def test_a_constant_of_another_module_and_of_this_one_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_constants.py").write_text("SCALE = 2.0\ndef halved(x):\n    return x / SCALE\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_constants

    def by_attribute(snapshot: Snapshot) -> Float[Tensor, ""]:
        return torch.tensor(own_constants.SCALE)

    def by_local_import(snapshot: Snapshot) -> Float[Tensor, ""]:
        from own_constants import halved

        return torch.tensor(halved(1.0))

    def by_global(snapshot: Snapshot) -> Float[Tensor, ""]:
        return torch.tensor(SCALE)

    for measure in (by_attribute, by_local_import, by_global):
        before = reached_by(measure).fingerprint
        monkeypatch.setattr(own_constants, "SCALE", 3.0)
        monkeypatch.setitem(globals(), "SCALE", 3.0)
        assert reached_by(measure).fingerprint != before
        monkeypatch.setattr(own_constants, "SCALE", 2.0)
        monkeypatch.setitem(globals(), "SCALE", 1.0)
        assert reached_by(measure).fingerprint == before


def test_what_cannot_be_told_is_taken_anew_and_says_so(copy: grokviz.Run, tmp_path: Path) -> None:
    (tmp_path / "number.txt").write_text("1.0")
    with (tmp_path / "number.txt").open() as file:

        def from_file(snapshot: Snapshot) -> Float[Tensor, ""]:
            file.seek(0)
            return torch.tensor(float(file.read()))

        first = grokviz.measure(copy, from_file)
        assert "TextIOWrapper" in first["from_file"].attrs["taken_anew"]
        (tmp_path / "number.txt").write_text("2.0")
        assert (grokviz.measure(copy, from_file)["from_file"] == 2.0).all()
    assert "taken_anew" in copy.measurements["from_file"].attrs
    assert "taken_anew" not in copy.measurements["loss"].attrs


def test_what_changes_while_it_is_taken_is_taken_anew_and_says_so(copy: grokviz.Run) -> None:
    calls = []

    def counting(snapshot: Snapshot) -> Float[Tensor, ""]:
        calls.append(1)
        return torch.tensor(float(len(calls)))

    first = grokviz.measure(copy, counting)["counting"]
    assert "changed while it was taken" in first.attrs["taken_anew"]
    calls.clear()  # as in another process
    grokviz.measure(copy, counting)
    assert len(calls) == len(copy.epochs)


GENERATORS: dict[str, tuple[Callable[[], Any], Callable[[Any], float]]] = {
    "torch": (lambda: torch.Generator().manual_seed(3), lambda g: torch.rand(1, generator=g).item()),
    "numpy": (lambda: np.random.default_rng(3), lambda g: g.random()),
    "numpy bits": (lambda: np.random.PCG64(3), lambda g: float(g.random_raw() % 1000)),
    "numpy legacy": (lambda: np.random.RandomState(3), lambda g: g.rand()),
    "python": (lambda: random.Random(3), lambda g: g.random()),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_is_set_back_before_each_checkpoint_and_at_the_end(copy: grokviz.Run, kind: str) -> None:
    make, draw = GENERATORS[kind]
    generator = make()
    draw(generator)  # the state at the call counts, not that of the seed
    expected = make()
    draw(expected)

    def drawing(snapshot: Snapshot) -> Float[Tensor, ""]:
        return torch.tensor([draw(generator) for _ in range(3)]).sum()

    wanted = sum(draw(expected) for _ in range(3))
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            (copy.directory / "measurements.nc").unlink()
            measured = grokviz.measure(copy, drawing)["drawing"]
            np.testing.assert_allclose(measured, wanted, rtol=1e-6)
            assert "taken_anew" not in measured.attrs
    finally:
        torch.set_num_threads(before)
    left = make()
    draw(left)
    assert draw(generator) == draw(left)
    draw(generator)
    assert grokviz.measure(copy, drawing)["drawing"][0] != measured[0]  # another state, other values


@pytest.mark.parametrize("kind", ["torch", "numpy", "python"])
def test_a_measure_that_draws_from_the_shared_generator_leaves_it_and_is_taken_anew(
    copy: grokviz.Run, kind: str
) -> None:
    draws = {
        "torch": lambda: torch.rand(1).item(),
        "numpy": lambda: np.random.rand(),
        "python": lambda: random.random(),
    }
    draw = draws[kind]

    def drawing(snapshot: Snapshot) -> Float[Tensor, ""]:
        return torch.tensor(draw())

    def seed() -> None:
        torch.manual_seed(5)
        np.random.seed(5)
        random.seed(5)

    seed()
    expected = draw()
    for threads in (1, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            seed()
            data = grokviz.measure(copy, drawing)["drawing"]
        finally:
            torch.set_num_threads(before)
        assert len(set(data.values.tolist())) == 1
        if (
            kind == "torch"
        ):  # of numpy and Python the generator is reached by the name of its method, and its state is hashed
            assert "that the whole process shares" in data.attrs["taken_anew"]
        if kind != "python":  # from which names of temporary files are drawn, too
            np.testing.assert_allclose(data, expected, rtol=1e-6)
            assert draw() == expected  # nothing was drawn from it


@pytest.mark.slow
def test_a_generator_in_a_hook_is_set_back_before_each_checkpoint(tiny_run: grokviz.Run) -> None:
    generator = torch.Generator().manual_seed(1)

    def shuffled(pattern: Tensor, hook: object) -> Tensor:
        return pattern[torch.randperm(len(pattern), generator=generator)]

    hooks = {"blocks.0.attn.hook_pattern": shuffled}
    together = grokviz.measure(tiny_run, "loss", hooks=hooks)["loss"]
    for epoch in tiny_run.epochs:
        alone = grokviz.measure_model(tiny_run.model(epoch), tiny_run.config.task, "loss", epoch=epoch, hooks=hooks)
        np.testing.assert_array_equal(alone["loss"].sel(epoch=epoch), together.sel(epoch=epoch))


# --- property: random measures are told apart by what they reach, and are the same in another process

LEAVES = st.one_of(
    st.integers(-5, 5).map(lambda i: ["int", i]),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda x: ["float", x]),
    st.text("abc", max_size=3).map(lambda s: ["text", s]),
    st.lists(st.integers(0, 9), min_size=1, max_size=4).map(lambda v: ["array", v]),
    st.lists(st.integers(0, 9), min_size=1, max_size=4).map(lambda v: ["tensor", v]),
    st.integers(0, 5).map(lambda seed: ["probe", seed]),
    st.integers(0, 5).map(lambda seed: ["generator", seed]),
    st.lists(st.text("xyz", min_size=1, max_size=2), max_size=4).map(lambda v: ["set", sorted(set(v))]),
)
SPECS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: ["list", v]),
        st.lists(st.tuples(st.text("abc", min_size=1, max_size=2), inner), max_size=3).map(lambda v: ["dict", dict(v)]),
        inner.map(lambda v: ["partial", v]),
        inner.map(lambda v: ["object", v]),
        inner.map(lambda v: ["closure", v]),
    ),
    max_leaves=6,
)


def built(spec: list[Any]) -> Any:
    """The thing that `spec` describes."""
    kind, value = spec
    makers: dict[str, Callable[[Any], Any]] = {
        "int": int,
        "float": float,
        "text": str,
        "array": lambda v: np.array(v, dtype=np.float32),
        "tensor": lambda v: torch.tensor(v, dtype=torch.float64),
        "probe": Probe,
        "generator": lambda seed: torch.Generator().manual_seed(seed),
        "set": set,
        "list": lambda v: [built(each) for each in v],
        "dict": lambda v: {name: built(each) for name, each in v.items()},
        "partial": lambda v: functools.partial(probing, built(v)),
        "object": lambda v: Plain(built(v)),
        "closure": lambda v: probing(built(v)),
    }
    return makers[kind](value)


@pytest.mark.slow
@given(st.lists(SPECS, min_size=20, max_size=40))
@settings(max_examples=2, deadline=None, phases=[Phase.generate])
def test_random_measures_have_the_same_hash_in_another_process_and_another_one_if_anything_differs(specs: list) -> None:
    here = [fingerprint(built(spec)) for spec in specs]
    assert here == [fingerprint(built(spec)) for spec in specs]
    for i, spec in enumerate(specs):
        for j in range(i):
            assert (here[i] == here[j]) == (spec == specs[j]), (spec, specs[j])
    code = "import sys, json; sys.path.insert(0, sys.argv[1]); import test_reached as t\n"
    code += "print(json.dumps([t.fingerprint(t.built(spec)) for spec in json.loads(sys.stdin.read())]))"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent)],
            input=json.dumps(specs),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert json.loads(done.stdout) == here


@dataclasses.dataclass
class Settings:
    """A dataclass with a default, a factory and a method."""

    width: int = 1
    names: list[str] = dataclasses.field(default_factory=list)

    def doubled(self) -> int:
        return 2 * self.width


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    value: float = 2.0


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


Pair = collections.namedtuple("Pair", "a b")


class Abstract(abc.ABC):
    @abc.abstractmethod
    def chosen(self) -> set[object]: ...


class Concrete(Abstract):
    def chosen(self) -> set[object]:
        return {1, "x", "y"}


class Named(dict):
    more = frozenset("pqr")


@torch.no_grad()
def doubled(x: Tensor) -> Tensor:
    return x * 2


@functools.lru_cache
def remembered(x: int) -> int:
    return x + 1


def of_all_kinds() -> dict[str, Any]:
    """Objects of every kind that a measure may come upon."""
    from fixtures import (
        initial_model,
    )  # here, for the other processes that import this file need not wait for it

    tiny = grokviz.RunConfig(
        task=grokviz.TaskConfig(p=7), model=grokviz.ModelConfig(d_model=8, n_heads=2, d_head=4, d_mlp=8)
    )
    return {
        "dataclass": Settings(2, ["a"]),
        "slots": Slotted(),
        "enum": Colour.BLUE,
        "namedtuple": Pair(1, 2),
        "abstract": Concrete(),
        "class": Concrete,
        "dict of one's own": Named(a={"u", "v"}),
        "no_grad": doubled,
        "cache": remembered,
        "counter": collections.Counter("hello"),
        "deque": collections.deque([1, 2]),
        "pattern": re.compile("a+"),
        "path": Path("a/b"),
        "time": datetime.datetime(2020, 1, 1),
        "table": pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
        "dataset": xr.Dataset({"a": ("x", [1.0, 2.0])}),
        "model": initial_model(tiny),
        "layers": torch.nn.Sequential(torch.nn.ParameterList([torch.ones(2)]), torch.nn.Dropout()),
        "configuration": tiny,
        "functions": [np.mean, np.exp, torch.randn, torch.nn.functional.relu, rearrange],
        "lambda": lambda x: x in {"a", "b", "c"},
        "slice": slice(1, 2),
    }


@pytest.mark.slow
def test_objects_of_all_kinds_have_the_same_hash_in_every_process() -> None:
    code = "import sys, json; sys.path.insert(0, sys.argv[1]); import test_reached as t\n"
    code += "print(json.dumps({name: t.described(value) for name, value in t.of_all_kinds().items()}))"
    said = []
    for seed in ("1", "2"):
        command = [sys.executable, "-W", "ignore", "-c", code, str(Path(__file__).parent)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        said.append(json.loads(done.stdout))
    assert said[0] == said[1]
    assert len(set(said[0].values())) == len(said[0])


COUNTED = """
import sys
sys.path.insert(0, sys.argv[2])
import grokviz, test_reached
from grokviz.analysis.taking.specs import MeasureSpec

calls = 0
call = MeasureSpec.__call__

def counted(self, snapshot, keys):
    global calls
    calls += 1
    return call(self, snapshot, keys)

MeasureSpec.__call__ = counted
measure = test_reached.probing(test_reached.built(eval(sys.argv[3])))
data = grokviz.measure(sys.argv[1], measure, progress=False)
print(calls, data["mine"].values[0])
"""


@pytest.mark.slow
def test_what_has_not_changed_is_not_taken_anew_in_another_process_and_what_has_is(copy: grokviz.Run) -> None:
    def run(spec: list[Any], seed: str) -> tuple[int, float]:
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            COUNTED,
            str(copy.directory),
            str(Path(__file__).parent),
            repr(spec),
        ]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        calls, value = done.stdout.split()
        return int(calls), float(value)

    mixed = ["list", [["probe", 1], ["dict", {"b": ["array", [1, 2]], "a": ["object", ["int", 3]]}]]]
    first = run(mixed, "1")
    assert first[0] == len(copy.epochs)
    assert run(mixed, "2") == (0, first[1])
    other = ["list", [["probe", 2], mixed[1][1]]]
    calls, value = run(other, "3")
    assert calls == len(copy.epochs)
    assert value != first[1]
