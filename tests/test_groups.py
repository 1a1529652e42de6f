"""Groups and what follows from their tables alone: classes, characters, blocks, names."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import grokviz
from fixtures import initial_model
from grokviz.analysis.taking.keys import find_keys
from grokviz.analysis.taking.measures.fourier import (
    embedding_power,
    neuron_frequency,
    neuron_purity,
    readout_power,
    token_plane,
)
from grokviz.analysis.taking.measures.performance import loss
from grokviz.analysis.taking.measures.progress import excluded_loss, logit_cosine, restricted_loss
from grokviz.analysis.taking.measures.superposition import frequencies_per_neuron
from grokviz.analysis.taking.needs import lacking, needs_of
from grokviz.analysis.taking.snapshot import Snapshot, snapshot_of
from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.errors import GrokvizError
from grokviz.tasks.blocks import cyclic_blocks
from grokviz.tasks.group_law import law_of_group
from grokviz.tasks.groups import Group, group_named, why_no_group
from grokviz.tasks.harmonics import harmonics_of
from grokviz.tasks.irrep_names import character_of_partition, names_of_irreps, partitions
from grokviz.tasks.irreps import characters, irreps, projector, rows_of
from grokviz.tasks.law import permuted_law
from grokviz.tasks.task import Task, task_of

GROUPS = ["S3", "D4", "D5", "D6", "Q8", "A4", "S4", "A5", "S5", "C4xC6", "C2xC2", "S3xC3", "A4xC3", "D59"]
CLASSES = {"S3": 3, "D4": 5, "Q8": 5, "A4": 4, "S4": 5, "A5": 5, "S5": 7, "D59": 31, "D61": 32, "S6": 11, "C4xC6": 24}

all_groups = pytest.mark.parametrize("name", GROUPS)


@all_groups
def test_a_group_is_one_and_its_elements_have_names_of_their_own(name: str) -> None:
    group = group_named(name)
    assert why_no_group(group.table) == ""
    assert len(set(group.names)) == len(group) == len(group.table)
    assert (group.table[np.arange(len(group)), group.inverses] == group.identity).all()
    assert group.class_of[group.identity] == 0
    assert group.class_sizes[0] == 1
    assert (len(group) % group.orders == 0).all()


@pytest.mark.parametrize(("name", "count"), CLASSES.items())
def test_conjugacy_classes_are_as_many_as_is_known(name: str, count: int) -> None:
    assert len(group_named(name).class_sizes) == count


@all_groups
def test_characters_are_orthonormal_and_their_degrees_squared_sum_to_the_order(name: str) -> None:
    group = group_named(name)
    found = characters(group)
    products = (found * group.class_sizes) @ found.conj().T / len(group)
    np.testing.assert_allclose(products, np.eye(len(found)), atol=1e-12)
    assert (np.rint(found[:, 0].real) ** 2).sum() == len(group)
    np.testing.assert_allclose(found[0], 1, atol=1e-12)


@all_groups
def test_blocks_are_orthogonal_idempotent_and_sum_to_the_identity(name: str) -> None:
    group = group_named(name)
    those = irreps(group)
    own = [projector(group, irrep) for irrep in those]
    for i, one in enumerate(own):
        for j, other in enumerate(own):
            np.testing.assert_allclose(one @ other, one * (i == j), atol=1e-12)
    np.testing.assert_allclose(sum(own) + 1 / len(group), np.eye(len(group)), atol=1e-12)
    for rows, irrep, whole in zip(rows_of(group, those), those, own, strict=True):
        assert len(rows) == irrep.dimension
        np.testing.assert_allclose(rows.T @ rows, whole, atol=1e-12)


@pytest.mark.parametrize("n", [*range(3, 61)])
def test_the_general_way_makes_of_a_cyclic_group_its_waves(n: int) -> None:
    group = group_named(f"C{n}")
    waves = cyclic_blocks(np.arange(n))
    own = [waves.rows_by_place.first[waves.rows(k)] for k in waves.labels.tolist()]
    found = [projector(group, irrep) for irrep in irreps(group)]
    assert len(found) == len(own)
    for rows in own:  # in whatever order
        assert min(abs(rows.T @ rows - each).max() for each in found) < 1e-12


def test_a_cyclic_group_has_frequencies_whatever_it_is_called() -> None:
    blocks = law_of_group(group_named("C5xC7")).blocks
    assert (blocks.axis, blocks.labels.tolist()) == ("frequency", list(range(1, 18)))
    table = group_named("C5xC7").table
    waves = blocks.rows_by_place
    for k in (1, 5, 17):
        own = blocks.rows(k)
        inside = np.einsum("wab,ia,jb->wij", waves.answer[own][:, table], waves.first[own], waves.second[own])
        assert np.square(inside).sum() == pytest.approx(2 * 35)
    assert law_of_group(group_named("C4xC6")).blocks.axis == "irrep"


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("S3", ["sign", "standard"]),
        ("S4", ["sign", "(2,2)", "standard", "standard sign"]),
        ("S5", ["sign", "standard", "standard sign", "(3,2)", "(2,2,1)", "(3,1,1)"]),
        ("A4", ["(2,2)", "standard"]),
        ("A5", ["(3,1,1) a", "(3,1,1) b", "standard", "(3,2)"]),
        ("D5", ["sign", "rho 1", "rho 2"]),
        ("D4", ["sign", "alternating", "alternating sign", "rho 1"]),
        ("Q8", ["1 a", "1 b", "1 c", "2"]),
    ],
)
def test_irreps_are_called_as_they_are_elsewhere(name: str, labels: list[str]) -> None:
    assert law_of_group(group_named(name)).blocks.labels.tolist() == labels


def test_names_of_irreps_of_permutations_are_those_of_their_characters() -> None:
    """The standard one counts the things that stay, less one; the sign is that of the permutation; products are their product."""
    group = group_named("S5")
    of = dict(zip(names_of_irreps(group, irreps(group)), irreps(group), strict=True))
    fixed = np.array([sum(str(thing) not in name for thing in range(1, 6)) for name in group.names])
    standard, sign = of["standard"].real_character[group.class_of], of["sign"].real_character[group.class_of]
    np.testing.assert_allclose(standard, fixed - 1, atol=1e-9)
    np.testing.assert_allclose(of["standard sign"].real_character[group.class_of], standard * sign, atol=1e-9)


def test_characters_of_partitions_are_orthogonal() -> None:
    types = list(partitions(5))
    sizes = np.bincount(group_named("S5").class_of)
    assert len(types) == len(sizes) == 7
    table = np.array([[character_of_partition(p, t) for t in types] for p in types])
    assert (table[0] == 1).all()
    assert sorted(table[:, -1].tolist()) == [1, 1, 4, 4, 5, 5, 6]


@pytest.mark.parametrize("seed", range(3))
def test_what_follows_from_a_table_does_not_depend_on_how_its_elements_are_numbered(seed: int) -> None:
    group = group_named("A4")
    order = np.random.default_rng(seed).permutation(len(group))
    place = np.argsort(order)
    mixed = Group("A4", tuple(group.names[x] for x in order), place[group.table[np.ix_(order, order)]])
    assert why_no_group(mixed.table) == ""
    assert sorted(mixed.class_sizes) == sorted(group.class_sizes)
    np.testing.assert_array_equal(mixed.orders, group.orders[order])
    for irrep in irreps(mixed):
        nearest = min(
            abs(projector(mixed, irrep) - projector(group, each)[np.ix_(order, order)]).max() for each in irreps(group)
        )
        assert nearest < 1e-12


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("S7", "group S7 has more than 1,024 elements"),
        ("C2000", "more than 1,024"),
        ("E8", "group 'E8' is unknown; groups are called C12, D59, S5, A5, Q8, or a product of these such as C4xC6"),
        ("Q12", "group Q12 is unknown; there is Q8"),
        ("C4x", "is unknown"),
    ],
)
def test_what_is_no_group_is_refused_in_one_line(name: str, said: str) -> None:
    with pytest.raises(GrokvizError, match=said.replace("(", r"\(")):
        group_named(name)


def test_a_table_that_is_no_group_says_why() -> None:
    subtraction = (np.arange(5)[:, None] - np.arange(5)) % 5
    assert why_no_group(subtraction) == "no element is the identity"
    assert why_no_group(np.zeros((3, 3), int)) == "an element occurs twice in a row or column"
    loop = np.array([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]])
    assert why_no_group(loop) == "composition is not associative"


IDEAL = [
    (name, keys)
    for name, irreducible in {
        "S3": (["sign"], ["standard"]),
        "D5": (["rho 1"], ["sign", "rho 2"], ["rho 1", "rho 2"]),
        "A4": (["standard"], ["(2,2)"]),
        "S4": (["sign", "standard"], ["(2,2)"], ["standard", "standard sign"]),
        "A5": (["(3,1,1) a"], ["(3,1,1) a", "(3,1,1) b", "(3,2)"]),
        "C4xC6": (["1 b"], ["1 a", "1 d", "1 k"]),
        "Q8": (["1 a", "2"], ["1 a", "1 b", "1 c"], ["2"]),
        "C2xC2": (["1 a"], ["1 a", "1 b"]),
    }.items()
    for keys in irreducible
]


def ideal(task: Task, keys: list[str], *, size: float = 12.0) -> Snapshot:
    """A network whose logits are `size` times the sum of chi(s c^-1) over some irreps, s = a b, with neurons and embeddings of
    one of them.
    """
    config = RunConfig(
        task=TaskConfig(operation=task.law.operation, split="unknown", train_fraction=None, split_seed=None),
        model=ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=3, seed=1),
    )
    snapshot = replace(snapshot_of(initial_model(config), config.task, epoch=0), task=task)
    harmonics = harmonics_of(task)
    rows = torch.cat([harmonics.of_answer[harmonics.blocks.rows(key)] for key in keys])
    answers = torch.from_numpy(task.answers)
    return replace(snapshot, logits=size * (rows.T @ rows)[answers] * task.n, answers=answers)


@pytest.mark.parametrize(("name", "keys"), IDEAL)
def test_of_ideal_logits_every_number_is_as_worked_out_by_hand(name: str, keys: list[str]) -> None:
    snapshot = ideal(task_of(name, None), keys)
    found = find_keys(snapshot)
    blocks = snapshot.harmonics.blocks
    assert found.frequencies == tuple(label for label in blocks.labels if label in keys)
    assert "trace similarity with the logits at least 0.005" in found.rule
    torch.testing.assert_close(restricted_loss(snapshot, keys), loss(snapshot), rtol=0, atol=1e-10)
    assert excluded_loss(snapshot, keys)[-1].item() == pytest.approx(np.log(snapshot.n), abs=1e-10)
    dimensions = blocks.dimensions * np.isin(blocks.labels.tolist(), keys)
    np.testing.assert_allclose(logit_cosine(snapshot), np.sqrt(dimensions / dimensions.sum()), atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "keys"), [("S4", ["sign", "standard"]), ("A5", ["(3,1,1) a"]), ("C4xC6", ["1 a", "1 d"])]
)
def test_relabelled_tokens_give_the_same_numbers(name: str, keys: list[str], seed: int) -> None:
    """Of networks and tasks whose tokens are permuted alike: of any logits, and any weights."""
    plain = task_of(name, None)
    order = np.random.default_rng(seed).permutation(plain.n)
    mixed = Task(permuted_law(plain.law, order))
    torch.manual_seed(seed)
    own = ideal(plain, keys)
    noisy = replace(own, logits=own.logits + torch.randn_like(own.logits))
    a, b = order[mixed.pairs].T
    pairs = torch.from_numpy(a * plain.n + b)
    W_E = noisy.weights.W_E[[*order.tolist(), plain.n]]
    moved = replace(
        noisy,
        task=mixed,
        answers=torch.from_numpy(mixed.answers),
        logits=noisy.logits[pairs][:, torch.from_numpy(order)],
        sites={site: values[pairs] for site, values in noisy.sites.items()},
        weights=noisy.weights.replaced(W_E=W_E, W_U=noisy.weights.W_U[:, [*order.tolist(), plain.n]]),
    )
    for measure in (
        logit_cosine,
        embedding_power,
        readout_power,
        neuron_purity,
        neuron_frequency,
        frequencies_per_neuron,
    ):
        torch.testing.assert_close(
            measure(moved), measure(noisy), atol=1e-10 if measure is logit_cosine else 1e-6, rtol=1e-6
        )
    torch.testing.assert_close(restricted_loss(moved, keys), restricted_loss(noisy, keys), atol=1e-10, rtol=0)
    torch.testing.assert_close(token_plane(moved), token_plane(noisy)[:, torch.from_numpy(order)], atol=1e-5, rtol=0)


def test_what_depends_on_how_rows_are_turned_is_no_measure() -> None:
    snapshot = ideal(task_of("S4", None), ["standard"])
    reasons = lacking(snapshot, "")
    assert reasons["components"].startswith("S4: the rows of an irrep's block are free up to a rotation")
    turned = [measure.__name__ for measure in grokviz.MEASURES if "components" in needs_of(measure)]
    of_rows = ["logit_spectrum", "component_dimensionality", "component_norm", "fourier_interference"]
    assert turned == [*of_rows, "distance_irrelevance"]
