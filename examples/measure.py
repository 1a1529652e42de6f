"""Use 2 of 3: measures at every checkpoint, with one of your own, and a measure under an intervention."""

from pathlib import Path

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

import grokviz
from grokviz.analysis.taking.measures.performance import accuracy


def largest_logit(snapshot: grokviz.Snapshot) -> Float[Tensor, "token"]:
    """Largest logit of each answer over all pairs. Its axis is read off this annotation, its text off this docstring.

    Unit: logits
    """
    return snapshot.logits[:, : snapshot.n].amax(dim=0)


def uniform_attention(pattern: Tensor, hook: object) -> Tensor:
    """A TransformerLens hook that makes every head look everywhere alike."""
    return torch.full_like(pattern, 1 / 3)


def main(directory: Path) -> xr.Dataset:
    """Measure the run in `directory`; only what is missing is computed."""
    run = grokviz.open_run(directory)
    measurements = grokviz.measure(run, measures=(*grokviz.MEASURES, largest_logit))
    print("key frequencies:", grokviz.key_frequencies_of(measurements))
    print(measurements["logit_margin"].sel(split="test").to_pandas().tail())

    last = run.epochs[-1]
    hooks = [("blocks.0.attn.hook_pattern", uniform_attention)]
    plain, changed = grokviz.take_snapshot(run, last), grokviz.take_snapshot(run, last, hooks=hooks)
    print(f"test accuracy {accuracy(plain)[1]:.1%}; with uniform attention {accuracy(changed)[1]:.1%}")
    return measurements


if __name__ == "__main__":
    main(Path("runs/example"))
