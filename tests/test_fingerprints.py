"""What makes stored values stale: the code that runs, and nothing else."""

import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

import grokviz
from grokviz.analysis.taking.fingerprints import _Walk, described, reached_by
from grokviz.analysis.taking.snapshot import Snapshot, snapshot_of
from grokviz.analysis.taking.specs import specs_of
from grokviz.models.architectures import ARCHITECTURES


def fingerprint(measure: Callable[..., object]) -> str:
    reached = reached_by(measure)
    assert reached.fingerprint, reached.why_not
    return reached.fingerprint


PACKAGE = Path(grokviz.__file__).parent

SCRIPT = """
import sys, json
sys.path.insert(0, sys.argv[1])
import grokviz
assert grokviz.__file__.startswith(sys.argv[1])
from grokviz.analysis.taking.specs import specs_of
print(json.dumps({spec.name: spec.reached.fingerprint for spec in specs_of(grokviz.MEASURES)}))
"""


def stale_after(tmp_path: Path, edit: Callable[[str, str], str]) -> set[str]:
    """The measures whose fingerprints are others in a copy of grokviz whose files have been edited."""
    shutil.copytree(PACKAGE, tmp_path / "grokviz", ignore=shutil.ignore_patterns("__pycache__"))
    edited = 0
    for path in sorted((tmp_path / "grokviz").rglob("*.py")):
        before = path.read_text()
        after = edit(path.relative_to(tmp_path / "grokviz").as_posix(), before)
        path.write_text(after)
        edited += before != after
    assert edited
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=True)
    now = {spec.name: spec.reached.fingerprint for spec in specs_of(grokviz.MEASURES)}
    after = json.loads(done.stdout)
    return {name for name in now if now[name] != after[name]}


def replacing(file: str, old: str, new: str) -> Callable[[str, str], str]:
    return lambda name, text: text.replace(old, new) if name == file else text


@pytest.mark.slow
def test_a_comment_or_a_docstring_anywhere_stales_nothing(tmp_path: Path) -> None:
    def commented(name: str, text: str) -> str:
        text = text.replace("\n    return ", "\n    # why\n\n    return ").replace("Formula:", "The formula:")
        return f"# a comment\n\n{text}\n# and another\n"

    assert stale_after(tmp_path, commented) == set()


@pytest.mark.slow
def test_a_change_of_gini_stales_its_users_alone(tmp_path: Path) -> None:
    edit = replacing("tasks/harmonics.py", "(n - ranks + 0.5) / n", "(n - ranks + 0.4) / n")
    assert stale_after(tmp_path, edit) == {"embedding_gini", "readout_gini"}


@pytest.mark.slow
def test_how_a_law_is_made_stales_nothing_for_tasks_are_compared_by_their_tables(tmp_path: Path) -> None:
    edit = replacing("tasks/groups.py", "np.where(flips[:, None] == 1, -turn, turn)", "(1 - 2 * flips[:, None]) * turn")
    assert stale_after(tmp_path, edit) == set()


def test_the_walk_through_grokvizs_own_code_does_not_go_round_in_it() -> None:
    visited = 0

    class Counting(_Walk):
        def digest(self, value: object) -> str:
            nonlocal visited
            visited += 1
            return super().digest(value)

    walk = Counting()
    for architecture in ARCHITECTURES.values():
        walk.digest(architecture.computation())
    for measure in (snapshot_of, *grokviz.MEASURES):
        walk.digest(measure)
    assert visited < 200_000


def test_what_a_walk_has_seen_before_changes_no_hash() -> None:
    walk = _Walk()
    fresh = {measure: described(measure) for measure in grokviz.MEASURES}
    assert {measure: walk.digest(measure) for measure in reversed(grokviz.MEASURES)} == fresh


@pytest.mark.parametrize("seed", range(5))
def test_where_a_circle_is_entered_changes_no_hash(seed: int) -> None:
    draw = random.Random(seed)
    things: list[dict[str, object]] = [{"number": number} for number in range(8)]
    for number, thing in enumerate(things):
        thing |= {f"to {other}": things[other] for other in draw.sample(range(8), draw.randint(0, 3))}
        thing["again"] = [things[number]]
    fresh = [described(thing) for thing in things]
    for _ in range(10):
        walk, order = _Walk(), draw.sample(range(8), 8)
        assert {place: walk.digest(things[place]) for place in order} == dict(enumerate(fresh))


@pytest.mark.slow
def test_another_wording_of_an_error_stales_nothing(tmp_path: Path) -> None:
    edit = replacing("analysis/taking/snapshot.py", "the model has", "this model has")
    assert stale_after(tmp_path, edit) == set()


def test_a_value_is_described_alike_in_every_process_and_by_its_content() -> None:
    code = """
import torch
from grokviz.analysis.taking.fingerprints import described
print(described(({"b", "a", "c"}, torch.relu, {"x": [1]})))
"""
    said = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        said.add(done.stdout)
    assert len(said) == 1
    assert described([1, 2]) != described([1, 3])
    assert described(torch.ones(2)) != described(torch.zeros(2))
    assert described(np.ones(2)) == described(np.ones(2))


@pytest.mark.slow
def test_a_change_of_a_constant_stales_its_users_alone(tmp_path: Path) -> None:
    edit = replacing("config/model.py", "PURE_NEURON = 0.85", "PURE_NEURON = 0.9")
    assert stale_after(tmp_path, edit) == {"neurons_per_frequency", "pure_neuron_share"}


@pytest.mark.slow
def test_a_change_of_a_property_of_the_snapshot_stales_its_users_alone(tmp_path: Path) -> None:
    edit = replacing("analysis/taking/snapshot.py", ".clamp(min=0).sqrt()", ".clamp(min=1).sqrt()")
    assert stale_after(tmp_path, edit) == {"mlp_participation_rank", "mlp_effective_rank", "mlp_stable_rank"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models/forward.py", ".relu_()", ".sigmoid()"),
        ("models/weights.py", "if p in blueprint.trained or", "if"),
        ("models/architecture.py", '"position": self.positions,', '"position": self.positions + 1,'),
        ("analysis/taking/snapshot.py", "place.copy_(part)", "place.copy_(part + 1)"),
        ("tasks/pair_groups.py", "[:n_train]] = True", "[: n_train - 1]] = True"),
        ("config/task.py", "int(self.known_fraction * self.n_pairs)", "round(self.known_fraction * self.n_pairs)"),
        ("tasks/task.py", "np.arange(self.n**2), self.n", "np.arange(self.n**2)[::-1], self.n"),
    ],
)
def test_a_change_of_what_makes_a_snapshot_stales_everything(tmp_path: Path, file: str, old: str, new: str) -> None:
    assert stale_after(tmp_path, replacing(file, old, new)) == {spec.name for spec in specs_of(grokviz.MEASURES)}


@pytest.mark.slow
def test_a_change_of_the_hooked_transformer_stales_nothing_for_checkpoints_are_measured_without_it(
    tmp_path: Path,
) -> None:
    assert stale_after(tmp_path, replacing("models/hooked.py", "init_weights=False", "init_weights=True")) == set()


def test_what_a_users_measure_calls_in_its_own_module_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
        import torch
        from jaxtyping import Float
        from torch import Tensor
        import grokviz

        def half(x):
            return x / {divisor}

        def mine(snapshot: grokviz.Snapshot) -> Float[Tensor, ""]:
            return half(snapshot.logits.mean())
    """
    found = []
    monkeypatch.syspath_prepend(str(tmp_path))
    for i, (divisor, comment) in enumerate([(2, ""), (2, "# the same"), (3, "")]):
        (tmp_path / f"own_{i}.py").write_text(textwrap.dedent(code).format(divisor=divisor) + comment)
        module = __import__(f"own_{i}")
        for function in (module.half, module.mine):
            function.__module__ = "own"
        found.append(fingerprint(module.mine))
    assert found[0] == found[1] != found[2]


def test_a_name_that_comes_to_mean_something_else_in_a_notebook_counts() -> None:
    namespace: dict = {"torch": torch, "Float": Float, "Tensor": Tensor, "Snapshot": Snapshot, "TABLE": [1, 2]}
    exec("def mine(snapshot: Snapshot) -> Float[Tensor, '']:\n    return torch.tensor(TABLE)", namespace)
    before = fingerprint(namespace["mine"])
    namespace["TABLE"] = [3, 4]
    assert fingerprint(namespace["mine"]) != before


def test_a_lambda_and_a_function_without_source_have_a_fingerprint() -> None:
    namespace: dict = {"torch": torch, "Float": Float, "Tensor": Tensor, "Snapshot": Snapshot}
    exec("def bare(snapshot: Snapshot) -> Float[Tensor, '']:\n    return torch.tensor(1.0)", namespace)
    exec("def other(snapshot: Snapshot) -> Float[Tensor, '']:\n    return torch.tensor(2.0)", namespace)
    namespace["other"].__qualname__ = "bare"
    assert fingerprint(namespace["bare"]) != fingerprint(namespace["other"])

    def make(number: float) -> Callable[[Snapshot], Tensor]:
        return lambda snapshot: torch.tensor(number)

    assert fingerprint(make(1.0)) == fingerprint(make(1.0)) != fingerprint(make(2.0))
