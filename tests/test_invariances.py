"""Properties that hold for all measures at once. A new measure is tested here as soon as it is in MEASURES."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from fixtures import initial_model, random_snapshot, with_embedding
from grokviz.analysis.taking.measures import MEASURES, fourier, superposition
from grokviz.analysis.taking.snapshot import Snapshot, snapshot_of
from grokviz.analysis.taking.specs import MeasureSpec, specs_of
from grokviz.config import ModelConfig, RunConfig, TaskConfig

SPECS = specs_of(MEASURES)
KEYS = (2, 5)
ALL = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def of_families(*families: object) -> Callable:
    chosen = [spec for spec in SPECS if any(spec.function in family.MEASURES for family in families)]
    return pytest.mark.parametrize("spec", chosen, ids=lambda spec: spec.name)


def value(spec: MeasureSpec, snapshot: Snapshot) -> torch.Tensor:
    return torch.from_numpy(spec(snapshot, KEYS)).double()


@ALL
@pytest.mark.parametrize("p", [7, 8])
def test_a_measure_has_the_axes_it_promises_and_repeats_itself(spec: MeasureSpec, p: int) -> None:
    snapshot = random_snapshot(p)
    once, again = spec(snapshot, (2, 3)), spec(replace(snapshot), (2, 3))
    assert once.ndim == len(spec.axes)
    torch.testing.assert_close(torch.from_numpy(once), torch.from_numpy(again), rtol=0, atol=0, equal_nan=True)


@ALL
def test_a_measure_explains_itself(spec: MeasureSpec) -> None:
    assert {"description", "formula", "unit", "range", "source"} <= spec.attributes.keys()
    assert spec.attributes["description"].endswith(".")


@ALL
def test_a_measure_changes_nothing(spec: MeasureSpec) -> None:
    snapshot = random_snapshot()
    before = [getattr(snapshot, name).clone() for name in ("scores", "pattern", "neurons", "logits")]
    weights = {name: values.clone() for name, values in snapshot.weights.values.items()}
    spec(snapshot, KEYS)
    for name, old in zip(("scores", "pattern", "neurons", "logits"), before, strict=True):
        assert (getattr(snapshot, name) == old).all()
    for name, old in weights.items():
        assert (getattr(snapshot.weights, name) == old).all()


@ALL
def test_names_that_promise_a_range_keep_it(spec: MeasureSpec) -> None:
    found = value(spec, random_snapshot())
    if spec.name.endswith(("_share", "accuracy", "_fve", "_purity", "_gini", "_power")):
        assert ((found >= 0) & (found <= 1 + 1e-6)).logical_or(found.isnan()).all()


@ALL
def test_a_diverged_network_is_measured_without_an_error_and_never_as_a_number_that_looks_good(
    spec: MeasureSpec,
) -> None:
    config = RunConfig(task=TaskConfig(p=11), model=ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=24))
    model = initial_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(torch.nan)
    found = value(spec, snapshot_of(model, config.task, epoch=0))
    assert found.isnan().all() or (spec.name in ("accuracy", "answer") and (found < 0.5).all())
    assert spec.name != "answer" or (found == -1).all()


@of_families(fourier, superposition)
def test_rotating_d_model_changes_no_fourier_sparsity_or_superposition_measure(spec: MeasureSpec) -> None:
    snapshot = random_snapshot()
    rotation, _ = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))
    w = snapshot.weights
    double = w.replaced(**{name: values.double() for name, values in w.values.items()})
    turned = double.replaced(W_E=double.W_E @ rotation, W_out=double.W_out @ rotation, W_U=rotation.T @ double.W_U)
    one, other = value(spec, replace(snapshot, weights=double)), value(spec, replace(snapshot, weights=turned))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6, equal_nan=True)


def test_relabelling_tokens_permutes_frequencies_and_leaves_sparsity_and_packing_alone() -> None:
    p, u = 11, 3
    snapshot = random_snapshot(p)
    w = snapshot.weights
    # token a takes the embedding of token u a
    relabelled = with_embedding(snapshot, w.W_E[:p][(u * torch.arange(p)) % p])
    old, new = fourier.embedding_power(snapshot), fourier.embedding_power(relabelled)
    moved = [min(u * k % p, -u * k % p) for k in range(1, p // 2 + 1)]
    for k, to in enumerate(moved, start=1):
        assert new[to - 1].item() == pytest.approx(old[k - 1].item(), rel=1e-5)
    same = (
        *(fourier.embedding_gini, fourier.embedding_participation_ratio, superposition.token_capacity),
        *(superposition.embedding_participation_rank, superposition.features_per_dimension),
    )
    for measure in same:
        assert measure(relabelled).item() == pytest.approx(measure(snapshot).item(), rel=1e-5)


@pytest.mark.parametrize("spec", [s for s in SPECS if s.axes in ((), ("split",))], ids=lambda spec: spec.name)
def test_swapping_the_operands_everywhere_changes_no_number_of_the_whole(spec: MeasureSpec) -> None:
    snapshot = random_snapshot()
    order = torch.arange(121).reshape(11, 11).T.flatten()
    swapped = replace(
        snapshot,
        sites={
            "scores": snapshot.scores[order][..., [1, 0, 2]],
            "pattern": snapshot.pattern[order][..., [1, 0, 2]],
            "neurons": snapshot.neurons[order],
        },
        logits=snapshot.logits[order],
        train_mask=snapshot.train_mask[order],
    )
    torch.testing.assert_close(value(spec, swapped), value(spec, snapshot), rtol=1e-5, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize("spec", [s for s in SPECS if s.name.endswith("loss")], ids=lambda spec: spec.name)
def test_a_function_of_the_pair_alone_added_to_all_logits_changes_no_loss(spec: MeasureSpec) -> None:
    snapshot = random_snapshot()
    generator = torch.Generator().manual_seed(1)
    lifted = replace(snapshot, logits=snapshot.logits + torch.randn(121, 1, dtype=torch.float64, generator=generator))
    torch.testing.assert_close(value(spec, lifted), value(spec, snapshot), rtol=1e-10, atol=1e-12)


def test_a_bias_of_the_classes_is_no_part_of_the_circuit() -> None:
    snapshot = random_snapshot()
    generator = torch.Generator().manual_seed(1)
    biased = replace(snapshot, logits=snapshot.logits + torch.randn(12, dtype=torch.float64, generator=generator))
    ours, theirs = (s.harmonics.along_answer(s.logits, KEYS) for s in (biased, snapshot))
    torch.testing.assert_close(ours, theirs)


def test_snapshots_of_models_in_float64_are_measured_in_float64() -> None:
    snapshot = random_snapshot()
    config = RunConfig(
        task=TaskConfig(p=11, split_seed=0), model=ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=24, seed=0)
    )
    model = initial_model(config)
    model.to(torch.float64, print_details=False)
    double = snapshot_of(model, config.task, epoch=0)
    assert double.neurons.dtype == torch.float64
    for spec in SPECS:
        torch.testing.assert_close(value(spec, double), value(spec, snapshot), rtol=1e-3, atol=1e-4, equal_nan=True)
