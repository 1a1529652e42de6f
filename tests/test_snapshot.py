import pytest
import torch

import grokviz
from fixtures import initial_model, last_position_logits
from grokviz.analysis.taking import snapshot as snapshot_module
from grokviz.analysis.taking.snapshot import snapshot_of
from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.errors import GrokvizError
from grokviz.models.weights import Weights

CONFIG = RunConfig(task=TaskConfig(p=11), model=ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=24))


def hooks_on(model) -> int:
    return sum(len(point.fwd_hooks) + len(point.bwd_hooks) for point in model.hook_dict.values())


def test_activations_are_those_of_the_hooked_transformer_at_the_last_position() -> None:
    model = initial_model(CONFIG)
    snapshot = snapshot_of(model, CONFIG.task, epoch=3)
    pairs = torch.from_numpy(CONFIG.task.task.pairs)
    tokens = torch.cat([pairs, torch.full((121, 1), 11)], dim=1)
    logits, cache = model.run_with_cache(tokens)
    close = {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(snapshot.logits, logits[:, -1].double(), **close)
    torch.testing.assert_close(snapshot.neurons, cache["blocks.0.mlp.hook_post"][:, -1], **close)
    torch.testing.assert_close(snapshot.pattern, cache["blocks.0.attn.hook_pattern"][:, :, -1], **close)
    torch.testing.assert_close(snapshot.scores, cache["blocks.0.attn.hook_attn_scores"][:, :, -1], **close)
    torch.testing.assert_close(snapshot.logits, last_position_logits(Weights.of(model), pairs).double(), **close)
    assert snapshot.logits.dtype == torch.float64
    assert snapshot.epoch == 3


@pytest.mark.parametrize("biases", [False, True])
def test_weights_alone_have_the_activations_of_the_hooked_transformer(biases: bool) -> None:
    model = initial_model(CONFIG)
    if biases:
        with torch.no_grad():
            for name, values in model.named_parameters():
                if ".b_" in name:
                    values.normal_(generator=torch.Generator().manual_seed(len(name)))
    alone, hooked = (snapshot_of(n, CONFIG.task, epoch=3) for n in (Weights.of(model), model))
    for what in ("scores", "pattern", "neurons", "logits"):
        torch.testing.assert_close(getattr(alone, what), getattr(hooked, what), rtol=1e-5, atol=1e-5)
    assert alone.weights.values.keys() == hooked.weights.values.keys()


@pytest.mark.parametrize("kind", [Weights.of, lambda model: model], ids=["weights", "model"])
def test_pairs_in_chunks_give_the_same_snapshot(monkeypatch: pytest.MonkeyPatch, kind) -> None:
    network = kind(initial_model(CONFIG))
    whole = snapshot_of(network, CONFIG.task, epoch=0)
    for name in ("CHUNK_PAIRS", "CHUNK_PAIRS_BY_HOOKS"):
        monkeypatch.setattr(snapshot_module, name, 50)
    chunked = snapshot_of(network, CONFIG.task, epoch=0)
    torch.testing.assert_close(chunked.logits, whole.logits, rtol=1e-6, atol=1e-6)
    assert chunked.scores.shape == whole.scores.shape == (121, 2, 3)


def test_an_intervention_is_seen_in_all_that_follows_it_and_by_every_measure() -> None:
    model = initial_model(CONFIG)

    def uniform(pattern, hook):
        return torch.full_like(pattern, 1 / 3)

    plain = snapshot_of(model, CONFIG.task, epoch=0)
    changed = snapshot_of(model, CONFIG.task, epoch=0, hooks=[("blocks.0.attn.hook_pattern", uniform)])
    assert (changed.pattern == 1 / 3).all()
    torch.testing.assert_close(changed.scores, plain.scores)
    assert not torch.allclose(changed.logits, plain.logits)
    entropy = grokviz.measures.attention.attention_entropy(changed)
    assert entropy.tolist() == pytest.approx([torch.tensor(3.0).log().item()] * 2)


def test_an_intervention_finds_all_three_positions() -> None:
    seen = []

    def look(activation, hook):
        seen.append(tuple(activation.shape))

    snapshot_of(
        initial_model(CONFIG),
        CONFIG.task,
        epoch=0,
        hooks=[("blocks.0.mlp.hook_post", look), ("blocks.0.hook_resid_mid", look)],
    )
    assert sorted(seen) == [(121, 3, 16), (121, 3, 24)]


def test_no_hook_is_left_behind_even_when_one_fails() -> None:
    model = initial_model(CONFIG)

    def fail(activation, hook):
        raise RuntimeError("on purpose")

    snapshot_of(model, CONFIG.task, epoch=0)
    assert hooks_on(model) == 0
    with pytest.raises(
        GrokvizError, match=r"the hook at blocks.0.mlp.hook_post, .* failed \(RuntimeError: on purpose\)"
    ):
        snapshot_of(model, CONFIG.task, epoch=0, hooks=[("blocks.0.mlp.hook_post", fail)])
    assert hooks_on(model) == 0


def test_a_snapshot_does_not_follow_later_changes_of_its_model() -> None:
    model = initial_model(CONFIG)
    snapshot = snapshot_of(model, CONFIG.task, epoch=0)
    before = snapshot.W_E.clone()
    with torch.no_grad():
        for values in model.parameters():
            values.zero_()
    assert (before == snapshot.W_E).all()


def test_a_checkpoint_of_a_run_becomes_a_snapshot(tiny_run: grokviz.Run) -> None:
    snapshot = grokviz.take_snapshot(tiny_run, tiny_run.epochs[-1])
    assert snapshot.epoch == 40
    assert snapshot.W_E.shape == (7, 16)
    assert snapshot.W_L.shape == (32, 7)
    assert snapshot.train_mask.sum().item() == tiny_run.config.task.n_train


@pytest.mark.slow
def test_a_snapshot_at_p_113_stays_below_a_gigabyte() -> None:
    import resource

    config = grokviz.preset("nanda2023")
    model = initial_model(config)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    snapshot_of(model, config.task, epoch=0)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1_000_000  # kilobytes
