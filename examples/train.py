"""Use 1 of 3: train with checkpoints, and look inside any of them with plain TransformerLens."""

from pathlib import Path

import torch

import grokviz


def main(config: grokviz.RunConfig, directory: Path) -> grokviz.Run:
    """Train `config` into `directory` and print what its last checkpoint answers and where it looks."""
    run = grokviz.train(config, directory)
    p = config.task.p

    history = run.history  # an xarray.Dataset: losses and accuracies by epoch, NaN where not evaluated
    print(f"{len(run.epochs)} checkpoints; test accuracy {history['test_accuracy'][-1].item():.1%}")

    model = run.model(run.epochs[-1])  # a HookedTransformer with nothing of grokviz around it
    question = torch.tensor([[3, 5, p]])  # "3 + 5 =", '=' being token p
    logits, cache = model.run_with_cache(question)
    attention = cache["blocks.0.attn.hook_pattern"][0, :, -1]  # [head, source]
    print(f"3 + 5 = {logits[0, -1].argmax().item()} mod {p}; head 0 looks at 3, 5, = with {attention[0].tolist()}")
    return run


if __name__ == "__main__":
    main(grokviz.preset("quick"), Path("runs/example"))
