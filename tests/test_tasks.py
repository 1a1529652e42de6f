import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import grokviz
from fixtures import CLOCK_FREQUENCIES, blank, initial_model, perfect, random_snapshot
from grokviz.analysis.taking.measures.performance import accuracy, loss
from grokviz.analysis.taking.measures.progress import (
    excluded_loss,
    excluded_loss_by_frequency,
    logit_cosine,
    restricted_loss,
)
from grokviz.analysis.taking.needs import needs_of
from grokviz.analysis.taking.snapshot import snapshot_of
from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.errors import GrokvizError, LackingError
from grokviz.tasks.harmonics import harmonics_of
from grokviz.tasks.operations import OPERATIONS, discrete_logarithms, units
from grokviz.tasks.split import split_masks, train_mask
from grokviz.tasks.task import task_of

ALL = pytest.mark.parametrize("operation", [operation.name for operation in OPERATIONS])
WITH_HARMONICS = pytest.mark.parametrize(
    "operation", ["addition", "subtraction", "multiplication", "multiplication_with_zero"]
)

BY_HAND = {
    "addition": lambda a, b: (a + b) % 7,
    "subtraction": lambda a, b: (a - b) % 7,
    "multiplication": lambda a, b: (a * b) % 7,
    "multiplication_with_zero": lambda a, b: (a * b) % 7,
    "x2_xy_y2": lambda a, b: (a**2 + a * b + b**2) % 7,
}


@ALL
def test_every_pair_has_the_answer_that_one_computes_by_hand(operation: str) -> None:
    task = task_of(operation, 7)
    for (a, b), answer in zip(task.pairs.tolist(), task.answers.tolist(), strict=True):
        x, y = int(task.elements[a]), int(task.elements[b])
        assert task.elements[answer] == BY_HAND[operation](x, y)


def test_the_elements_of_multiplication_are_the_units_and_tokens_count_them() -> None:
    assert task_of("multiplication", 7).elements.tolist() == [1, 2, 3, 4, 5, 6]
    assert task_of("multiplication", 9).elements.tolist() == [1, 2, 4, 5, 7, 8]
    config = RunConfig(task=TaskConfig(operation="multiplication", p=113))
    assert (config.equals_token, config.d_vocab, config.d_vocab_out) == (112, 113, 113)
    assert config.task.n_train == int(0.3 * 112**2)


@pytest.mark.parametrize(("operation", "expected"), list(zip(BY_HAND, (True, False, True, True, True), strict=True)))
def test_commutativity_is_a_property_of_the_task(operation: str, expected: bool) -> None:
    assert task_of(operation, 11).is_commutative == expected


@pytest.mark.parametrize("p", [7, 9, 10, 14, 97, 113])
def test_discrete_logarithms_turn_products_into_sums(p: int) -> None:
    elements = units(p).tolist()
    place = dict(zip(elements, discrete_logarithms(p).tolist(), strict=True))
    assert sorted(place.values()) == list(range(len(elements)))
    for x in elements[:10]:
        for y in elements[-10:]:
            assert place[x * y % p] == (place[x] + place[y]) % len(elements)


@WITH_HARMONICS
@pytest.mark.parametrize("p", [11, 13])
def test_the_waves_of_an_answer_are_products_of_waves_of_the_operands(operation: str, p: int) -> None:
    # e^{iw s(a, b)} is e^{iw a} e^{+-iw b}: it lies in the span of one frequency of a and the same of b
    task = task_of(operation, p)
    harmonics = harmonics_of(task)
    for rows in (harmonics.of_first, harmonics.of_second, harmonics.of_answer):
        torch.testing.assert_close(rows @ rows.T, torch.eye(task.n, dtype=torch.float64))
    for label in harmonics.labels:
        rows = harmonics.blocks.rows(label)
        of_answer = harmonics.of_answer[rows][:, torch.from_numpy(task.answers)].reshape(len(rows), task.n, task.n)
        first, second = harmonics.of_first[rows], harmonics.of_second[rows]
        inside = torch.einsum("wab,ia,jb->wij", of_answer, first, second)
        assert inside.square().sum().item() == pytest.approx(of_answer.square().sum().item())


@pytest.mark.parametrize("operation", ["addition", "subtraction", "multiplication"])
def test_a_perfect_network_is_all_in_its_key_frequencies_whatever_it_has_learnt(operation: str) -> None:
    snapshot = perfect(operation, 113)
    assert set(accuracy(snapshot).tolist()) == {1}
    assert loss(snapshot)[2].item() < 1e-6
    torch.testing.assert_close(restricted_loss(snapshot, CLOCK_FREQUENCIES), loss(snapshot), rtol=0, atol=1e-10)
    chance = math.log(snapshot.n)
    assert snapshot.n == (112 if operation == "multiplication" else 113)
    assert excluded_loss(snapshot, CLOCK_FREQUENCIES).tolist() == pytest.approx(
        [chance] * len(snapshot.splits), abs=1e-10
    )
    assert excluded_loss_by_frequency(snapshot)[13].item() == pytest.approx(excluded_loss(snapshot, (14,))[0].item())


def test_what_multiplication_with_zero_holds_of_its_units_is_told_from_what_it_holds_of_zero() -> None:
    snapshot = blank(13, operation="multiplication_with_zero")
    harmonics, keys = snapshot.harmonics, (2, 5)
    assert harmonics.blocks.components[:2] == ["constant", "zero"]
    assert (harmonics.of_answer[2:, 0] == 0).all()
    rows = torch.cat([harmonics.of_answer[harmonics.blocks.rows(label)] for label in keys])
    snapshot = replace(snapshot, logits=60 * (rows.T @ rows)[snapshot.answers])
    right = snapshot.logits.argmax(dim=1) == snapshot.answers
    np.testing.assert_array_equal(right[snapshot.answers > 0], True)
    torch.testing.assert_close(restricted_loss(snapshot, keys), loss(snapshot), rtol=0, atol=1e-10)
    assert excluded_loss(snapshot, keys).tolist() == pytest.approx([math.log(13)] * len(snapshot.splits), abs=1e-10)
    by_block = excluded_loss_by_frequency(snapshot)
    assert by_block[1].item() == pytest.approx(excluded_loss(snapshot, (2,))[0].item())
    assert logit_cosine(snapshot)[[1, 4]].tolist() == pytest.approx([2**-0.5] * 2)
    with pytest.raises(LackingError, match="multiplication_with_zero mod 9: p is no prime"):
        harmonics_of(task_of("multiplication_with_zero", 9))


def test_an_operation_without_harmonics_gives_no_number_that_needs_them_and_says_why() -> None:
    config = RunConfig(
        task=TaskConfig(p=11, operation="x2_xy_y2"), model=ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=24)
    )
    snapshot = snapshot_of(initial_model(config), config.task, epoch=0)
    for measure in grokviz.MEASURES:
        arguments = ((1, 2),) if "key_frequencies" in needs_of(measure) else ()
        if {"harmonics", "key_frequencies"} & set(needs_of(measure)):
            with pytest.raises(LackingError, match="x2_xy_y2 mod 11: no harmonics are known for this operation"):
                measure(snapshot, *arguments)
        else:
            assert measure(snapshot, *arguments) is not None


def test_units_that_are_not_cyclic_have_no_harmonics_and_say_why() -> None:
    assert discrete_logarithms(24) is None
    with pytest.raises(LackingError, match="multiplication mod 24: the units of this modulus are not cyclic"):
        harmonics_of(task_of("multiplication", 24))


@pytest.mark.slow
def test_a_run_without_harmonics_is_trained_measured_and_reported(tiny_config, tmp_path) -> None:
    from dataclasses import replace

    task = replace(tiny_config.task, operation="x2_xy_y2")
    run = grokviz.train(replace(tiny_config, task=task), tmp_path / "run")
    data = grokviz.measure(run)
    assert "embedding_power" not in data
    assert "no harmonics are known" in data.attrs["absent"]
    assert data["operation"].item() == "x2_xy_y2"
    page = grokviz.write_report(run).read_text()
    assert "is absent (x2_xy_y2 mod 7: no harmonics are known for this operation)" in page
    again = grokviz.measure(run)  # absent measures are not computed again and again
    assert again.identical(data)


def test_too_few_elements_are_refused() -> None:
    with pytest.raises(GrokvizError, match="p is 4, which leaves multiplication 2 elements; choose a larger p"):
        TaskConfig(operation="multiplication", p=4)


def test_a_random_network_of_subtraction_is_measured_along_differences() -> None:
    snapshot = random_snapshot(11)
    apart = task_of("subtraction", 11).answers
    x = np.arange(11)
    np.testing.assert_array_equal(apart.reshape(11, 11), (x[:, None] - x) % 11)
    assert snapshot.task.is_commutative


def test_the_splits_of_a_commutative_task_tell_mirrored_test_pairs_from_the_others() -> None:
    task = task_of("addition", 3)  # pairs 00 01 02 10 11 12 20 21 22
    train = torch.tensor([True, True, False, False, False, False, False, True, False])
    masks = split_masks(task, train)
    assert list(masks) == ["train", "test", "all", "test_mirrored", "test_unmirrored"]
    assert masks["test_mirrored"].nonzero().flatten().tolist() == [3, 5]  # (1, 0) and (1, 2)
    assert masks["test_unmirrored"].nonzero().flatten().tolist() == [2, 4, 6, 8]  # (a, a) mirrors itself
    assert torch.equal(masks["test_mirrored"] | masks["test_unmirrored"], masks["test"])


@ALL
def test_only_a_commutative_task_has_mirrored_splits(operation: str) -> None:
    task = task_of(operation, 11)
    config = TaskConfig(p=11, operation=operation, train_fraction=0.5)
    assert tuple(split_masks(task, train_mask(config))) == task.splits
    assert len(task.splits) == (5 if task.is_commutative else 3)


def test_a_network_that_knows_train_pairs_and_their_mirrors_alone_is_told_by_the_mirrored_splits() -> None:
    snapshot = perfect("addition", 11)
    known = snapshot.train_mask | snapshot.train_mask.reshape(11, 11).T.flatten()
    knows = replace(snapshot, logits=torch.where(known[:, None], snapshot.logits, -snapshot.logits))
    by_split = dict(zip(snapshot.task.splits, accuracy(knows).tolist(), strict=True))
    assert (by_split["train"], by_split["test_mirrored"], by_split["test_unmirrored"]) == (1, 1, 0)
    mirrored = snapshot.splits["test_mirrored"].sum() / snapshot.splits["test"].sum()
    assert by_split["test"] == pytest.approx(mirrored.item())
