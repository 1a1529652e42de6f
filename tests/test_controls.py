"""Controls: they do as much, but not to what it is about; all where there are few; where none exists, that is the answer."""

from itertools import combinations

import pytest
import torch

import grokviz
from grokviz import interventions as shelf
from grokviz.analysis.taking.interventions.intervention import Ground, Scene
from grokviz.analysis.taking.interventions.patching import sources_alike
from grokviz.analysis.taking.interventions.units import members_of
from grokviz.analysis.taking.measures.performance import loss
from grokviz.analysis.taking.snapshot import snapshot_of
from grokviz.config import TaskConfig
from grokviz.errors import LackingError
from grokviz.tasks.block_sets import sets_of_rows
from ideal import exact_network

C113 = TaskConfig(p=113, train_fraction=0.3)
KEYS = (14, 35, 41, 42, 52)


def ground(config: TaskConfig, avoided=KEYS) -> Ground:
    network = exact_network(config.task, KEYS if config is C113 else config.task.blocks.labels.tolist()[-1:])
    return Ground(config.task, network.blueprint, frozenset(avoided))


def test_others_are_as_many_and_hold_no_key_and_no_harmonic() -> None:
    others, _ = shelf.remove((14, 35)).controls
    draws = others.draws(shelf.remove((14, 35)), ground(C113, (*KEYS, 28)), 50, 0)
    sets = [each.function.labels for each in draws]
    assert len(set(sets)) == 50
    assert all(len(labels) == 2 and not {*labels} & {*KEYS, 28} for labels in sets)
    assert sets == [
        each.function.labels for each in others.draws(shelf.remove((14, 35)), ground(C113, (*KEYS, 28)), 50, 0)
    ]
    assert sets != [
        each.function.labels for each in others.draws(shelf.remove((14, 35)), ground(C113, (*KEYS, 28)), 50, 1)
    ]
    single = others.draws(shelf.remove(14), ground(C113), 60, 0)
    assert sorted(each.function.labels for each in single) == [(k,) for k in range(1, 57) if k not in KEYS]  # all 51


def test_of_irreps_the_rows_are_as_many() -> None:
    blocks = TaskConfig(operation="S5").task.blocks
    sizes = {label: len(blocks.rows(label)) for label in blocks.labels.tolist()}
    for rows in sorted(set(sizes.values())):
        found = sets_of_rows(blocks, list(sizes), rows, 1000, 0)
        expected = [
            some
            for size in range(1, len(sizes) + 1)
            for some in combinations(sizes, size)
            if sum(sizes[label] for label in some) == rows
        ]
        assert sorted(found) == sorted(expected)


def test_on_a_network_built_by_hand_a_control_changes_nothing_and_its_value_is_the_networks() -> None:
    network = exact_network(C113.task, KEYS)
    plain = snapshot_of(network, C113, epoch=0)
    others, planes = shelf.remove(14).controls
    for each in others.draws(shelf.remove(14), ground(C113), 3, 0):
        torch.testing.assert_close(snapshot_of(network, C113, epoch=0, under=each).logits, plain.logits)
    kept = shelf.keep(KEYS)
    for each in others.draws(kept, ground(C113), 2, 0):
        alone = snapshot_of(network, C113, epoch=0, under=each)
        assert loss(alone)[2].item() == pytest.approx(4.727387818712342)  # chance
    with pytest.raises(LackingError, match="10 directions are meant of the 10"):
        snapshot_of(network, C113, epoch=0, under=planes.draws(kept, ground(C113), 1, 0)[0])


def test_planes_have_as_many_dimensions_and_as_much_power(quick_run: grokviz.Run) -> None:
    plain = grokviz.take_snapshot(quick_run, "last")
    W_E = plain.W_E.double()
    W_E = W_E - W_E.mean(dim=0)
    key = grokviz.key_frequencies_of(quick_run)[0]
    for intervention in (shelf.remove(key), shelf.keep(grokviz.key_frequencies_of(quick_run))):
        real = grokviz.take_snapshot(quick_run, "last", under=intervention)
        _, planes = intervention.controls
        drawn = planes.draws(intervention, Ground(plain.task, plain.blueprint), 3, 0)
        logits = []
        for each in drawn:
            control = grokviz.take_snapshot(quick_run, "last", under=each)
            assert control.changed_share == pytest.approx(real.changed_share, rel=1e-4)
            removed = W_E - (control.W_E.double() - control.W_E.double().mean(dim=0))
            expected = 2 if "without" in intervention.name else None
            rank = int((torch.linalg.svdvals(removed) > 1e-4 * torch.linalg.svdvals(W_E)[0]).sum())
            assert expected in (None, rank)
            logits.append(control.logits)
        assert not torch.equal(logits[0], logits[1])


def test_neurons_are_as_many_others_and_where_there_are_not_so_many_that_is_said(quick_run: grokviz.Run) -> None:
    plain = grokviz.take_snapshot(quick_run, "last")
    scene = Scene(plain.task, plain.weights, torch.from_numpy(plain.task.pairs))
    key = grokviz.key_frequencies_of(quick_run)[0]
    chosen = shelf.neurons(of=key)
    (others,) = chosen.controls
    own = set(members_of(chosen.function.which, plain.neurons, scene))
    for each in others.draws(chosen, Ground(plain.task, plain.blueprint), 3, 0):
        drawn = members_of(each.function.which, plain.neurons, scene)
        assert len(drawn) == len(own)
        assert not own & set(drawn)
    width = plain.blueprint.sizes["neuron"]
    most = shelf.neurons(range(width // 2 + 1))
    with pytest.raises(LackingError, match=r"there is no control: .* neurons are in the set, and only"):
        others.draws(most, Ground(plain.task, plain.blueprint), 3, 0)
    few = others.draws(shelf.neurons(range(width // 2)), Ground(plain.task, plain.blueprint), 3, 0)
    assert len(few) == 1  # the other half is the one set that there is


def test_heads_mirrors_and_partners() -> None:
    config = grokviz.preset("quick")
    place = Ground(config.task.task, config.blueprint)
    (heads,) = shelf.heads([0, 1]).controls
    assert [each.function.heads for each in heads.draws(shelf.heads([0, 1]), place, 50, 0)] == [(2, 3)]
    with pytest.raises(LackingError, match="4 of 4 heads are meant"):
        heads.draws(shelf.heads([0, 1, 2, 3]), place, 50, 0)
    waves = shelf.remove(3, "neurons", families="answer")
    _, mirror = waves.controls
    assert [each.function.families for each in mirror.draws(waves, place, 50, 0)] == [("rest",)]
    both = shelf.remove(3, "neurons", families=("answer", "rest"))
    with pytest.raises(LackingError, match="both directions alike"):
        both.controls[1].draws(both, place, 50, 0)
    absolute = shelf.activation("|x|")
    assert [each.function.formula for each in absolute.controls[0].draws(absolute, place, 50, 0)] == ["x"]
    plain = shelf.activation("relu")
    with pytest.raises(LackingError, match="neither even nor odd"):
        plain.controls[0].draws(plain, place, 50, 0)


def test_a_task_of_few_frequencies_has_no_others() -> None:
    config = TaskConfig(p=7, train_fraction=0.6)
    others, _ = shelf.remove([1, 2]).controls
    with pytest.raises(LackingError, match="no other frequencies with 4 rows together are left: 1 of 3"):
        others.draws(shelf.remove([1, 2]), Ground(config.task, exact_network(config.task, (1,)).blueprint), 50, 0)


def test_pairs_of_the_same_answer_are_others_and_each_is_taken_once() -> None:
    for operation in ("addition", "x2_xy_y2"):
        task = TaskConfig(operation=operation, p=11, train_fraction=0.5).task
        answers = torch.from_numpy(task.answers)
        alone = (answers.bincount()[answers] == 1).nonzero()[:, 0].tolist()
        drawn = [sources_alike(task, draw, 0) for draw in range(3)]
        for sources in drawn:
            assert sorted(sources.tolist()) == list(range(121))
            assert (answers[sources] == answers).all()
            assert (sources == torch.arange(121)).nonzero()[:, 0].tolist() == alone
        assert not torch.equal(drawn[0], drawn[1])


def test_of_the_mlp_and_the_skip_connection_each_is_the_others_control() -> None:
    config = grokviz.preset("quick")
    place = Ground(config.task.task, config.blueprint)
    for one, other in (
        (shelf.without_mlp(), shelf.without_skip()),
        (shelf.without_skip("zero"), shelf.without_mlp("zero")),
    ):
        (way,) = one.controls
        (control,) = way.draws(one, place, 50, 0)
        assert (control.at, control.function) == (other.at, other.function)
    alone = exact_network(C113.task, KEYS)
    with pytest.raises(LackingError, match="has no skip connection"):
        way.draws(shelf.without_mlp(), Ground(C113.task, alone.blueprint), 50, 0)


def test_how_much_a_swapped_activation_changes_is_told_by_what_the_neurons_made(quick_run: grokviz.Run) -> None:
    same = grokviz.take_snapshot(quick_run, "last", under=shelf.activation("relu"))
    assert same.changed_share == 0
    other = grokviz.take_snapshot(quick_run, "last", under=shelf.activation("|x|"))
    assert other.changed_share > 0.1
