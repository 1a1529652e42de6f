"""Blocks: tasks of other groups, under other coordinates or none, through measures, keys, figures and the page."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch

import grokviz
from fixtures import CLOCK_FREQUENCIES, perfect
from grokviz.analysis.taking.axes import labels_of
from grokviz.analysis.taking.keys import find_keys
from grokviz.analysis.taking.measures.performance import loss
from grokviz.analysis.taking.measures.progress import excluded_loss, logit_cosine, restricted_loss
from grokviz.analysis.taking.snapshot import Snapshot, take_snapshot
from grokviz.config import ModelConfig, RunConfig, TaskConfig, TrainingConfig
from grokviz.errors import GrokvizError
from grokviz.figures import FIGURES, drawing_of, why_not
from grokviz.tasks import operations
from grokviz.tasks.blocks import Block, Blocks, RowsByPlace, cyclic_blocks
from grokviz.tasks.law import permuted_law
from grokviz.tasks.operations import ADDITION, MULTIPLICATION, SUBTRACTION, Operation, residues
from grokviz.tasks.task import Task, task_of

S3 = np.array([[p[q[i]] for i in range(3)] for p in permutations(range(3)) for q in permutations(range(3))])
PLACE = {each: i for i, each in enumerate(permutations(range(3)))}
TABLE = np.array([PLACE[tuple(product)] for product in S3.tolist()]).reshape(6, 6)
SIGNS = np.array([round(np.linalg.det(np.eye(3)[list(p)])) for p in permutations(range(3))])
FIXED = np.array([sum(p[i] == i for i in range(3)) for p in permutations(range(3))])


def blocks_of_s3(p: int) -> Blocks:
    """Those of the sign and of the two-dimensional representation, made from characters."""
    inverse = TABLE.argmin(axis=1)  # the identity is token 0
    projector = 2 / 6 * (FIXED - 1)[TABLE[inverse]]
    values, vectors = np.linalg.eigh(projector)
    rows = np.vstack([np.full(6, 6**-0.5), SIGNS / 6**0.5, vectors[:, values > 0.5].T])
    return Blocks(
        axis="irrep",
        plural="irreps",
        symbol="",
        said="matrix entries of the irreducible representations of S3",
        at="in",
        parts="rows",
        blocks=(Block("sign", ("sign",)), Block("standard", tuple(f"standard {i}" for i in range(1, 5)))),
        n=6,
        make_rows=lambda: RowsByPlace(rows, rows, rows),
        order=np.arange(6),
    )


MADE_UP = Operation(
    name="made_up", formula="first b, then a, in S3", compose=lambda a, b, p: TABLE[a, b], blocks=blocks_of_s3
)

TWICE_AND_ONE = Operation(
    name="twice_and_one",
    formula="2a + b mod p",
    compose=lambda a, b, p: (2 * a + b) % p,
    blocks=lambda p: cyclic_blocks(2 * residues(p) % p, residues(p), residues(p)),
)


@pytest.fixture
def known_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operations of this file beside those of grokviz."""
    more = (MADE_UP, TWICE_AND_ONE)
    monkeypatch.setattr(operations, "OPERATIONS", (*operations.OPERATIONS, *more))


def backwards(p: int) -> np.ndarray:
    """An order of as many tokens as addition mod p has."""
    return np.random.default_rng(p).permutation(p)


def ideal(snapshot: Snapshot, labels: tuple) -> Snapshot:
    """The snapshot of a network whose logits are all along some blocks: 10 times the sum over their rows of row(s) row(c)."""
    harmonics = snapshot.harmonics
    rows = torch.cat([harmonics.of_answer[harmonics.blocks.rows(label)] for label in labels])
    return replace(snapshot, logits=10 * snapshot.n * (rows.T @ rows)[snapshot.answers])


@pytest.mark.parametrize("operation", [ADDITION, SUBTRACTION, MULTIPLICATION, TWICE_AND_ONE, MADE_UP])
def test_what_lies_along_a_block_of_the_answer_is_made_of_that_block_of_both_operands(operation: Operation) -> None:
    task = Task(operation.mod(6 if operation is MADE_UP else 13))
    rows = task.blocks.rows_by_place
    for label in task.blocks.labels.tolist():
        own = task.blocks.rows(label)
        of_answer = rows.answer[own][:, task.answers].reshape(len(own), task.n, task.n)
        inside = np.einsum("wab,ia,jb->wij", of_answer, rows.first[own], rows.second[own])
        assert np.square(inside).sum() == pytest.approx(np.square(of_answer).sum())


def test_blocks_are_orthonormal_and_complete_and_say_what_they_are() -> None:
    for blocks in (blocks_of_s3(6), cyclic_blocks(np.arange(12)), TWICE_AND_ONE.blocks(11)):
        for rows in vars(blocks.rows_by_place).values():
            np.testing.assert_allclose(rows @ rows.T, np.eye(blocks.n), atol=1e-12)
        assert sum(len(block) for block in blocks.blocks) + 1 == len(blocks.components) == blocks.n
    assert (blocks_of_s3(6).rows("standard"), blocks_of_s3(6).multiple(2, "sign")) == ([2, 3, 4, 5], None)
    with pytest.raises(GrokvizError, match="there is no irrep 'triangle' among 6 elements"):
        blocks_of_s3(6).rows("triangle")


def test_a_network_of_2a_plus_b_is_in_its_key_frequencies_through_the_coordinates_of_each_operand(
    known_operations,
) -> None:
    snapshot = ideal(perfect("twice_and_one", 113), CLOCK_FREQUENCIES)
    assert restricted_loss(snapshot, CLOCK_FREQUENCIES).tolist() == pytest.approx(loss(snapshot).tolist(), rel=1e-6)
    assert excluded_loss(snapshot, CLOCK_FREQUENCIES)[0].item() == pytest.approx(np.log(113))
    # the neurons of frequency k see 2 k in the residue of a, and k in that of b
    a, b = (torch.arange(113)[:, None] * 2 * np.pi / 113).double(), (torch.arange(113) * 2 * np.pi / 113).double()
    neuron = (torch.cos(14 * a) + torch.cos(7 * b)).relu().reshape(-1, 1)
    found = grokviz.measures.fourier.neuron_frequency(snapshot.with_sites(neurons=neuron))
    assert found.tolist() == [7]


@pytest.mark.parametrize(("operation", "p"), [("addition", 11), ("multiplication", 13), ("S4", None)])
def test_a_task_with_its_tokens_permuted_keeps_its_blocks(operation: str, p: int | None) -> None:
    plain = task_of(operation, p)
    order = backwards(plain.n)
    mixed = Task(permuted_law(plain.law, order))
    a, b = order[mixed.pairs].T
    np.testing.assert_array_equal(order[mixed.answers], plain.answers[a * plain.n + b])
    np.testing.assert_array_equal(mixed.elements, plain.elements[order])
    np.testing.assert_array_equal(mixed.blocks.rows_by_place.answer, plain.blocks.rows_by_place.answer[:, order])
    assert mixed.blocks.labels.tolist() == plain.blocks.labels.tolist()
    assert mixed.blocks.identity != plain.blocks.identity
    if plain.blocks.coordinates is not None:
        np.testing.assert_array_equal(mixed.blocks.coordinates[mixed.blocks.order], np.arange(plain.n))


@pytest.fixture
def made_up_run(tmp_path, known_operations) -> grokviz.Run:
    config = RunConfig(
        task=TaskConfig(operation="made_up", p=6, train_fraction=0.7),
        model=ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=24),
        training=TrainingConfig(epochs=30, geometric_checkpoints=3, checkpoint_every=20),
    )
    with pytest.warns(grokviz.GrokvizWarning, match="may not grok"):
        return grokviz.train(config, tmp_path / "run", progress=False)


def test_a_made_up_task_is_measured_along_its_own_axis_and_has_keys(made_up_run) -> None:
    snapshot = ideal(take_snapshot(made_up_run, "last"), ("standard",))
    assert restricted_loss(snapshot, ("standard",)).tolist() == pytest.approx(loss(snapshot).tolist(), rel=1e-6)
    assert excluded_loss(snapshot, ("standard",))[0].item() == pytest.approx(np.log(6))
    assert logit_cosine(snapshot).tolist() == pytest.approx([0, 1], abs=1e-6)
    assert find_keys(snapshot).blocks is snapshot.task.blocks
    assert labels_of(snapshot, ("standard",))["key_component"].tolist() == [f"standard {i}" for i in range(1, 5)]
    data = grokviz.measure(made_up_run, progress=False)
    assert data["embedding_power"].dims == ("epoch", "irrep")
    assert data["irrep"].values.tolist() == ["sign", "standard"]
    assert "frequency" not in data.dims
    assert data["token_plane"].sizes == {"epoch": data.sizes["epoch"], "irrep": 2, "token": 6, "axis": 2}
    assert data["circle_roundness"].isnull().all()  # neither block is a circle
    assert grokviz.measure(made_up_run, progress=False).identical(data)  # what is stored holds


def test_every_figure_of_a_made_up_task_is_drawn_or_says_why_not(made_up_run) -> None:
    data = grokviz.measure(made_up_run, progress=False)
    data["is_key_frequency"].values[:] = [0, 1]  # as if the rule had found one
    data = data.assign_coords(key_component=[f"standard {i}" for i in range(1, 5)])
    for figure in FIGURES:
        if not why_not(figure, data):
            assert drawing_of(figure, data).figure()
    assert "irrep" in drawing_of(grokviz.figures.spectrum, data).finding
    assert "frequenc" not in drawing_of(grokviz.figures.spectrum, data).finding


@pytest.mark.browser
def test_the_page_of_a_made_up_task_calls_its_blocks_by_their_names(made_up_run, browser) -> None:
    data = grokviz.measure(made_up_run, progress=False)
    data["is_key_frequency"].values[:] = [0, 1]
    data["readout_share_of_largest"].values[:] = [0.1, 1]
    path = grokviz.write_report(made_up_run, data, progress=False)
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(path.as_uri() + "#k=standard&tab=neurons")
    page.wait_for_selector("html[data-ready=yes]")
    assert page.inner_text("#pin") == "irrep standard, key ×"
    for tab in page.evaluate("[...document.querySelectorAll('[role=tab]')].map((tab) => tab.dataset.tab)"):
        page.evaluate(f"grokviz.state.set({{ tab: '{tab}' }})")
        page.wait_for_timeout(100)
    page.evaluate("grokviz.state.set({ pinned: 'sign', epoch: 0 })")
    page.wait_for_timeout(100)
    assert page.inner_text("#pin") == "irrep sign ×"
    assert problems == []
