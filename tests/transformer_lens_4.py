"""Exports in TransformerLens 4: its own converter and `boot_native` have our logits, and its bridge our activations at the hooks.

It needs another TransformerLens than grokviz, so it runs in an environment of its own: `make transformer-lens-4`. With `write
FOLDER` it writes networks and what they compute, in ours; with `check FOLDER` it holds version 4 to that, in the other. And a
Monitor follows a bridge while it trains: with `train FOLDER` there, and with `measure FOLDER` the run is measured here.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

SCORES, PATTERN = "blocks.0.attn.hook_attn_scores", "blocks.0.attn.hook_pattern"
HOOKS = ("blocks.0.hook_resid_mid", SCORES, PATTERN, "blocks.0.mlp.hook_post")
EQUAL = 1e-6
"""Relative difference up to which two are equal."""
CASES = {
    "without biases": {"p": 7, "biases": False},
    "with biases": {"p": 8, "biases": True},
    "answers alone": {"p": 9, "biases": True, "output_vocabulary": "answers"},
    "heads wider than d_model": {"p": 7, "biases": True, "d_head": 5},
}
"""Random networks, by what is special of them."""


def write(folder: Path) -> None:
    """Write each network in both layouts, its configuration, and its logits and activations on all pairs, by version 3."""
    import warnings

    import grokviz
    from grokviz.models.transformer import PARAMETERS

    warnings.simplefilter("ignore")
    for number, (name, case) in enumerate(CASES.items()):
        config = grokviz.RunConfig(
            task=grokviz.TaskConfig(p=case["p"]),
            model=grokviz.ModelConfig(
                d_model=12,
                n_heads=3,
                d_head=case.get("d_head", 4),
                d_mlp=20,
                output_vocabulary=case.get("output_vocabulary", "tokens"),
            ),
        )
        generator = torch.Generator().manual_seed(number)
        is_bias = {parameter.name: parameter.short_name.startswith("b_") for parameter in PARAMETERS}
        state = {
            n: torch.randn(shape, generator=generator) * (case["biases"] or not is_bias[n])
            for n, shape in config.blueprint.shapes.items()
        }
        here = folder / str(number)
        here.mkdir(parents=True)
        torch.save(state, here / "network.pt")
        options = grokviz.ImportOptions(operation="addition", split="unknown")
        run = grokviz.import_run(here / "network.pt", here / "run", options, progress=False)
        grokviz.export_run(run, here / "native.pt", format="transformer-lens-4")
        grokviz.export_run(run, here / "classic.pt", format="transformer-lens")
        n = case["p"]
        pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n))
        tokens = torch.cat([pairs, torch.full((n * n, 1), n)], dim=1)
        logits, cache = run.model("last").run_with_cache(tokens)
        np.savez(here / "expected.npz", tokens=tokens, logits=logits.detach(), **{h: cache[h].detach() for h in HOOKS})
        (here / "config.json").write_text(json.dumps({"name": name, "architecture": config.blueprint.settings}))


def check(folder: Path) -> None:
    """Hold TransformerLens 4 to what was written."""
    from importlib.metadata import version

    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.utilities.tl_checkpoint_conversion import convert_tl_checkpoint

    print(f"TransformerLens {version('transformer_lens')}")
    worst = 0.0
    for here in sorted(folder.iterdir()):
        described = json.loads((here / "config.json").read_text())
        config = TransformerBridgeConfig(**described["architecture"])
        expected = np.load(here / "expected.npz")
        tokens = torch.from_numpy(expected["tokens"])
        native = torch.load(here / "native.pt", weights_only=True)
        converted = convert_tl_checkpoint(torch.load(here / "classic.pt", weights_only=True), config)
        for how, state in (("our native file", native), ("its own converter", converted)):
            bridge = TransformerBridge.boot_native(config)
            bridge.load_state_dict(state, strict=True)
            with torch.no_grad():
                logits, cache = bridge.run_with_cache(tokens)
            found = {"logits": logits, **{hook: cache[hook] for hook in HOOKS}}
            for what, values in found.items():
                difference = _relative(values.numpy(), expected[what])
                if what == SCORES and _relative(values.numpy(), expected[PATTERN]) < EQUAL:
                    print(f"{described['name']}, {how}: {what} holds the pattern in this version, not the scores")
                    continue
                worst = max(worst, difference)
                print(f"{described['name']}, {how}: {what} {difference:.1e}")
    print(f"largest relative difference: {worst:.1e}")
    sys.exit(0 if worst < EQUAL else 1)


def train(folder: Path) -> None:
    """Train a bridge, followed by a Monitor, and hold the run's checkpoints to its own state."""
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    import grokviz

    described = json.loads((folder / "0" / "config.json").read_text())
    torch.manual_seed(0)
    bridge = TransformerBridge.boot_native(TransformerBridgeConfig(**described["architecture"]))
    p = 7
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    tokens, answers = torch.cat([pairs, torch.full((p * p, 1), p)], dim=1), pairs.sum(dim=1) % p
    kept = torch.randperm(p * p)[:30]
    optimizer = torch.optim.AdamW(bridge.parameters(), lr=1e-3)
    with grokviz.Monitor(folder / "followed", "addition", p=p, train_pairs=kept, steps=20, every=10) as monitor:
        for step in range(20):
            monitor.see(step, bridge)
            loss = torch.nn.functional.cross_entropy(bridge(tokens[kept])[:, -1], answers[kept])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            monitor.loss(step, train=loss.item())
        monitor.see(20, bridge)
    with torch.no_grad():
        np.save(folder / "logits.npy", bridge(tokens)[:, -1].numpy())
    print(f"a bridge was followed for 20 steps: {monitor.run!r}")


def measure(folder: Path) -> None:
    """Measure the run of the bridge, and hold its last network to the bridge's own logits."""
    import grokviz

    run = grokviz.open_run(folder / "followed")
    assert not grokviz.check_run(run).damages
    assert grokviz.measure(run, progress=False)["loss"].notnull().all()
    pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    logits = run.model("last")(torch.cat([pairs, torch.full((49, 1), 7)], dim=1))[:, -1]
    difference = _relative(logits.detach().numpy(), np.load(folder / "logits.npy"))
    print(f"its last checkpoint, as a HookedTransformer: {difference:.1e} from the bridge's logits")
    sys.exit(0 if difference < EQUAL else 1)


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    """The difference as a share of the norm, where no mask is; infinite where what was found is no number there."""
    known = np.isfinite(expected) & (np.abs(expected) < 1e4)
    if found.shape != expected.shape or not np.isfinite(found[known]).all():
        return float("inf")
    return float(np.linalg.norm(found[known] - expected[known]) / np.linalg.norm(expected[known]))


if __name__ == "__main__":
    {"write": write, "check": check, "train": train, "measure": measure}[sys.argv[1]](Path(sys.argv[2]))
