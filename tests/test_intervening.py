"""Interventions as values: the same numbers on the exact forward as on a model's hooks, exact answers on networks built by hand,
and nothing left behind.
"""

import copy
import math
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import grokviz
from fixtures import initial_model
from grokviz import interventions as shelf
from grokviz.analysis.taking.fingerprints import identity_of
from grokviz.analysis.taking.interventions.blocks import FAMILIES, part_of_pairs
from grokviz.analysis.taking.interventions.intervention import Ground, Intervention, Scene
from grokviz.analysis.taking.interventions.patching import sources_of
from grokviz.analysis.taking.measures.interventions import moved_share, patch_recovery
from grokviz.analysis.taking.measures.performance import accuracy, loss
from grokviz.analysis.taking.measures.unseen import unseen_restricted_loss
from grokviz.analysis.taking.snapshot import Snapshot, snapshot_of
from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.errors import GrokvizError, LackingError
from grokviz.models.weights import Weights
from grokviz.tasks.harmonics import harmonics_of
from ideal import exact_network, pizza_network

IDEAL = {
    "C113": (TaskConfig(p=113, train_fraction=0.3), (14, 35, 41, 42, 52)),
    "D5": (TaskConfig(operation="D5", train_fraction=0.5), ("rho 1", "rho 2")),
    "S3": (TaskConfig(operation="S3", train_fraction=0.5), ("standard",)),
}


def small(**model) -> tuple[RunConfig, torch.nn.Module]:
    """A small untrained network in float64, its biases no zeros."""
    sizes = {"d_model": 16, "d_mlp": 24, "seed": 1}
    if model.get("architecture", "transformer") == "transformer":
        sizes |= {"n_heads": 2, "d_head": 8}
    config = RunConfig(task=TaskConfig(p=11, train_fraction=0.5), model=ModelConfig(**sizes, **model))
    network = initial_model(config).double()
    with torch.no_grad():
        for name, values in network.named_parameters():
            if values.requires_grad and (".b_" in name or name == "b"):
                values.normal_(generator=torch.Generator().manual_seed(3))
    return config, network


def weights_of(config: RunConfig, network: torch.nn.Module) -> Weights:
    return Weights.from_arrays(config.blueprint, {n: v.detach().numpy() for n, v in network.named_parameters()})


def all_of_the_shelf(config: RunConfig) -> list[Intervention]:
    """Every kind of intervention that the network of a configuration can be put under."""
    blocks = [
        *(make([1, 3], at) for make in (shelf.keep, shelf.remove) for at in ("W_E", "readout", "neurons", "logits")),
        *(shelf.remove(2, "neurons", families=family) for family in FAMILIES),
        shelf.scale(2, 1.5),
        shelf.turn(2, 0.25),
        shelf.turn([1, 2], 0.1, "neurons"),
        shelf.turn(2, 0.3, "readout"),
    ]
    neurons = [shelf.neurons([0, 5, 7]), shelf.directions([1, 3]), shelf.directions([1, 3], "keep")]
    others = [shelf.activation("|x|"), shelf.activation("x³"), shelf.without_mlp(), shelf.without_mlp("zero")]
    patches = [shelf.patch(at) for at in ("operands", "neurons")]
    patches += [shelf.patch("neurons", "inside", [1, 3]), shelf.patch("operands", "outside", [1, 3])]
    found = [*blocks, *neurons, *others, *patches, Intervention("halved", "W_U", halved) if "W_U" else None]
    if config.blueprint.architecture.name == "transformer":
        found += [shelf.remove(2, "scores"), shelf.remove(2, "attention"), shelf.patch("attention", "inside", [1, 3])]
        found += [shelf.heads(1, how) for how in ("mean", "zero", "frozen", "uniform")]
        found += [shelf.without_skip(), shelf.without_skip("zero"), Intervention("louder", "pattern", louder)]
    return found


def halved(values: Tensor, scene: Scene) -> Tensor:
    return values / 2


def louder(values: Tensor, scene: Scene) -> Tensor:
    """Depends on the pair, whose number comes with the values."""
    return values * (1 + scene.pairs[:, 0].to(values.dtype) / 10)[:, None, None]


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"biases": "all"},
        {"positions": 2, "operand_tokens": "apart", "biases": "all", "activation": "gelu"},
        {"architecture": "mlp", "biases": "mlp_in"},
        {"architecture": "mlp_tied"},
    ],
    ids=["transformer", "biases", "apart", "mlp", "tied"],
)
def test_the_numbers_are_those_of_hooks_and_nothing_stays_on_the_model(model) -> None:
    config, network = small(**model)
    before = copy.deepcopy(network.state_dict())
    weights, plain = weights_of(config, network), snapshot_of(network, config.task, epoch=0)
    changing = 0
    for each in all_of_the_shelf(config):
        exact = snapshot_of(weights, config.task, epoch=0, under=each)
        hooked = snapshot_of(network, config.task, epoch=0, under=each)
        largest = hooked.logits.abs().max()
        assert (exact.logits - hooked.logits).abs().max() <= 1e-6 * largest, each.name
        for name, activations in exact.sites.items():
            torch.testing.assert_close(hooked.sites[name].double(), activations.double(), rtol=1e-6, atol=1e-8)
        assert exact.changed_share == pytest.approx(hooked.changed_share, rel=1e-6), each.name
        changing += bool((exact.logits - plain.logits).abs().max() > 1e-6)
        for name, values in exact.weights.values.items():
            torch.testing.assert_close(values, hooked.weights.values[name])
    assert changing == len(all_of_the_shelf(config))
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    assert all(not point.fwd_hooks for point in network.hook_dict.values())
    assert torch.equal(snapshot_of(network, config.task, epoch=0).logits, plain.logits)


def test_in_single_precision_it_is_to_a_millionth_of_the_largest_logit_too(quick_run: grokviz.Run) -> None:
    model, keys = quick_run.model("last"), grokviz.key_frequencies_of(quick_run)
    for each in (shelf.keep(keys), shelf.remove(keys[0], "neurons"), shelf.activation("|x|"), shelf.heads(0)):
        hooked = snapshot_of(model, quick_run.config.task, epoch=0, under=each).logits
        exact = grokviz.take_snapshot(quick_run, "last", under=each).logits
        assert (exact - hooked).abs().max() <= 2e-6 * hooked.abs().max(), each.name


@pytest.mark.parametrize("name", IDEAL)
def test_of_a_network_built_by_hand_the_keys_alone_are_all_and_without_them_is_chance(name: str) -> None:
    config, keys = IDEAL[name]
    network, n = exact_network(config.task, keys), config.task.n
    plain = snapshot_of(network, config, epoch=0)
    assert (accuracy(plain) == 1).all()
    for at in ("W_E", "neurons", "readout", "logits"):
        kept = snapshot_of(network, config, epoch=0, under=shelf.keep(keys, at))
        torch.testing.assert_close(kept.logits, plain.logits, atol=1e-10, rtol=0)
        without = snapshot_of(network, config, epoch=0, under=shelf.remove(keys, at))
        torch.testing.assert_close(loss(without), torch.full_like(loss(without), math.log(n)), atol=1e-9, rtol=0)
    for family in ("a", "b"):
        same = snapshot_of(network, config, epoch=0, under=shelf.remove(keys, "logits", families=family))
        torch.testing.assert_close(same.logits, plain.logits, atol=1e-10, rtol=0)
    rest = snapshot_of(network, config, epoch=0, under=shelf.remove(keys, "logits", families="rest"))
    torch.testing.assert_close(rest.logits, plain.logits, atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", IDEAL)
def test_a_patch_moves_the_answer_to_that_of_the_other_pair_and_its_complement_does_not(name: str) -> None:
    config, keys = IDEAL[name]
    network = exact_network(config.task, keys)
    plain, sources = snapshot_of(network, config, epoch=0), sources_of(config.task, 0)
    assert (plain.answers[sources] != plain.answers).all()
    assert sorted(sources.tolist()) == list(range(len(sources)))
    for at in ("operands", "neurons"):
        whole = snapshot_of(network, config, epoch=0, under=shelf.patch(at))
        torch.testing.assert_close(whole.logits, plain.logits[sources], atol=1e-10, rtol=0)
        assert (patch_recovery(whole).item(), moved_share(whole).item()) == (pytest.approx(1), 1)
        (alike,) = shelf.patch(at).controls
        for control in alike.draws(shelf.patch(at), Ground(config.task, network.blueprint), 2, 0):
            same = snapshot_of(network, config, epoch=0, under=control)
            torch.testing.assert_close(same.logits, plain.logits, atol=1e-9, rtol=0)
            assert patch_recovery(same).item() == pytest.approx(0, abs=1e-9)
            assert moved_share(same).item() == 0
        inside = snapshot_of(network, config, epoch=0, under=shelf.patch(at, "inside", keys))
        assert patch_recovery(inside).item() == pytest.approx(1)
        outside = snapshot_of(network, config, epoch=0, under=shelf.patch(at, "outside", keys))
        torch.testing.assert_close(outside.logits, plain.logits, atol=1e-9, rtol=0)
        assert patch_recovery(outside).item() == pytest.approx(0, abs=1e-9)
    with pytest.raises(LackingError, match="nothing was patched"):
        patch_recovery(plain)


def test_turning_the_phase_of_all_keys_by_a_step_turns_the_answer_by_a_step() -> None:
    config, _ = IDEAL["C113"]
    network = exact_network(config.task, (1,))
    by_one = shelf.turn(1, 1 / 113, "logits")
    turned = snapshot_of(network, config, epoch=0, under=by_one)
    assert (turned.logits.argmax(dim=1) == (turned.answers + 1) % 113).all()
    # in the embedding both operands are turned
    turned = snapshot_of(network, config, epoch=0, under=shelf.turn(1, 1 / 113))
    assert (turned.logits.argmax(dim=1) == (turned.answers + 2) % 113).all()


def test_a_pizza_is_told_from_a_clock_and_does_not_care_for_the_sign_of_what_it_reads() -> None:
    config = TaskConfig(p=59, train_fraction=0.3)
    network = pizza_network(59, 7)
    plain = snapshot_of(network, config, epoch=0)
    assert (accuracy(plain) == 1).all()
    assert grokviz.measures.algorithm.distance_irrelevance(plain).item() < 0.01
    assert grokviz.measures.algorithm.gradient_symmetricity(plain).item() == pytest.approx(1)
    even = snapshot_of(network, config, epoch=0, under=shelf.activation("|x|"))
    assert (accuracy(even) == 1).all()
    odd = snapshot_of(network, config, epoch=0, under=shelf.activation("x"))
    assert accuracy(odd)[2] < 0.1


def test_a_transplant_of_a_weight_onto_itself_changes_nothing(quick_run: grokviz.Run) -> None:
    plain = grokviz.take_snapshot(quick_run, "last")
    for weight in ("W_E", "W_in", "b_in"):
        own = shelf.transplant(weight, quick_run, "last")
        assert torch.equal(grokviz.take_snapshot(quick_run, "last", under=own).logits, plain.logits)
    first = shelf.transplant("W_in", quick_run, "first")
    assert accuracy(grokviz.take_snapshot(quick_run, "last", under=first))[2] < 0.5


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_lookup_table_has_no_hidden_progress_on_unseen_pairs(symmetric: bool) -> None:
    config, keys = IDEAL["C113"]
    plain = snapshot_of(exact_network(config.task, keys), config, epoch=0)
    losses = []
    for seed in range(5):
        table = torch.randn(113, 113, 113, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        if symmetric:
            table = table + table.transpose(0, 1)
        logits = table.reshape(113 * 113, 113)
        logits[plain.train_mask] = 0.0
        logits[plain.train_mask, plain.answers[plain.train_mask]] = 20.0
        losses.append(unseen_restricted_loss(replace(plain, logits=logits), keys).item())
    assert min(losses) > math.log(113) - 0.02  # by chance of the table
    assert grokviz.measures.progress.restricted_loss(replace(plain, logits=logits), keys)[1] < math.log(113)


@pytest.mark.parametrize("name", IDEAL)
def test_the_families_of_a_block_are_its_whole(name: str) -> None:
    config, keys = IDEAL[name]
    harmonics = harmonics_of(config.task)
    functions = torch.randn(config.task.n**2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = part_of_pairs(functions, harmonics, keys, FAMILIES)
    apart = sum(part_of_pairs(functions, harmonics, keys, (family,)) for family in FAMILIES)
    torch.testing.assert_close(whole, apart)
    torch.testing.assert_close(part_of_pairs(whole, harmonics, keys, FAMILIES), whole)  # a projection


def test_interventions_that_say_the_same_are_equal_and_have_one_identity_in_every_process() -> None:
    said = [
        shelf.remove([3, 7]),
        shelf.remove([3, 7]),
        shelf.remove([7, 3]),
        shelf.keep([3, 7]),
        shelf.remove([3, 7], "neurons"),
    ]
    assert said[0] == said[1] != said[2]
    identities = [identity_of(each) for each in said]
    assert identities[0] == identities[1]
    assert len(set(identities)) == 4
    assert identity_of(pickle.loads(pickle.dumps(said[0]))) == identities[0]
    line = "from grokviz import interventions as i; from grokviz.analysis.taking.fingerprints import identity_of as of"
    elsewhere = subprocess.run(
        [sys.executable, "-c", f"{line}; print(of(i.remove([3, 7])), of(i.keep([3, 7])))"],
        capture_output=True,
        text=True,
    )
    assert elsewhere.stdout.split() == [identities[0], identities[3]]


def test_what_is_of_the_users_own_is_told_by_its_code_and_what_it_holds() -> None:
    def scaled(factor: float) -> Intervention:
        def of_mine(values: Tensor, scene: Scene) -> Tensor:
            return factor * values

        return Intervention("scaled", "W_E", of_mine)

    assert identity_of(scaled(2.0)) == identity_of(scaled(2.0)) != identity_of(scaled(3.0))
    held = open(__file__)  # noqa: SIM115, PTH123 - what cannot be told
    with held:
        assert identity_of(Intervention("read", "W_E", lambda values, scene: held and values)) == ""


def test_what_makes_no_sense_is_refused_in_one_line(quick_run: grokviz.Run, tiny_group_run: grokviz.Run) -> None:
    config, network = small()
    weights = weights_of(config, network)

    def under(intervention: Intervention) -> Snapshot:
        return snapshot_of(weights, config.task, epoch=0, under=intervention)

    for make, says in (
        (lambda: shelf.remove([]), "labels is empty; name at least one"),
        (lambda: shelf.remove(3.5), "labels is 3.5, but must be frequencies"),
        (lambda: shelf.keep(3, families="c"), "families is 'c', which is unknown"),
        (lambda: shelf.keep(3, families=()), "families is empty"),
        (lambda: shelf.keep(3, "readout", families="a"), "readout is a function of one element"),
        (lambda: shelf.heads([]), "the set of heads is empty"),
        (lambda: shelf.heads(0, "off"), "how is 'off', which is unknown"),
        (lambda: shelf.neurons(), "neurons are told by their numbers"),
        (lambda: shelf.neurons("odd"), "which is 'odd', which is unknown"),
        (lambda: shelf.activation("tan"), "activation is 'tan', which is unknown"),
        (lambda: shelf.patch("neurons", "half", 3), "part is 'half', which is unknown"),
        (lambda: shelf.transplant("W_X", quick_run), "weight is 'W_X', which is unknown"),
        (lambda: Intervention("", "W_E", halved), "the name of an intervention is ''"),
        (lambda: Intervention("x", "W_E", 3), "function is 3, but must be a function"),
        (lambda: under(shelf.remove(3, "nowhere")), "nothing can be done at 'nowhere'"),
        (lambda: under(shelf.remove(99)), "there is no frequency 99 among 11 elements"),
        (lambda: under(shelf.heads(7)), "there is no head 7; there are 0 to 1"),
        (lambda: under(shelf.neurons(99)), "there is no neuron 99; there are 0 to 23"),
        (lambda: under(Intervention("cut", "W_E", lambda v, scene: v[:2])), r"'cut' gave a tensor of shape \(2, 16\)"),
        (lambda: under(Intervention("none", "W_E", lambda v, scene: None)), "'none' gave a NoneType"),
        (lambda: under(Intervention("bad", "W_E", lambda v, scene: v @ v)), "'bad', which received .* failed"),
        (lambda: under(Intervention("zero", "b_Q", halved)), "nothing can be done at b_Q: it is zero"),
        (lambda: under(shelf.transplant("W_in", quick_run)), "transplant between runs of one configuration"),
        (lambda: grokviz.take_snapshot(tiny_group_run, "last", under=shelf.heads(0)), "nothing can be done at 'heads'"),
        (
            lambda: grokviz.take_snapshot(tiny_group_run, "last", under=shelf.turn("standard", 0.1)),
            "has no phase to turn",
        ),
    ):
        with pytest.raises(GrokvizError, match=says):
            make()
