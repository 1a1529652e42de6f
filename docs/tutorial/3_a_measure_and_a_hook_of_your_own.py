# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. A measure and a hook of your own
#
# Looking is the first half of understanding a network. The second is to *change* something in it and see what breaks.
#
# > **What you will be able to do**
# >
# > - write a measure, and have it taken at every checkpoint
# > - intervene with a hook of TransformerLens, and measure the whole training under that intervention
# > - lay the two beside each other

# %%
import torch
from jaxtyping import Float
from torch import Tensor

import grokviz

run = grokviz.train(grokviz.preset("quick"), "runs/quick", resume=True)
measurements = grokviz.measure(run)

# %% [markdown]
# ## The model is a plain HookedTransformer
#
# `run.model(epoch)` gives the network of a checkpoint with nothing of grokviz around it, so whatever you know of TransformerLens
# works. (If you do not know it: `run_with_cache` runs a network and keeps every activation by name.)

# %%
model = run.model("last")
logits, cache = model.run_with_cache(torch.tensor([[20, 50, 59]]))  # 20 + 50 =; the token '=' is number 59
print("20 + 50 =", logits[0, -1, :59].argmax().item())
print("attention of each head to 20, 50 and =:")
print(cache["blocks.0.attn.hook_pattern"][0, :, -1])

# %% [markdown]
# ## A measure
#
# A measure is a function of a *snapshot*: a checkpoint with its activations on all pairs. Its return annotation names its axes,
# its docstring is its documentation. Here is one: how much each head prefers one operand over the other.


# %%
def head_bias(snapshot: grokviz.Snapshot) -> Float[Tensor, "head"]:
    """Mean absolute difference of a head's attention to a and to b.

    Range: [0, 1]
    """
    a, b = snapshot.pattern[:, :, 0], snapshot.pattern[:, :, 1]
    return (a - b).abs().mean(dim=0)


measurements = grokviz.measure(run, measures=(*grokviz.MEASURES, head_bias))
measurements["head_bias"].isel(epoch=[0, -1])

# %% [markdown]
# It is kept in the run with all the others, and only computed again if you change its code.
#
# ## An intervention
#
# Does this network need attention that depends on the tokens at all? A hook is a function that receives an activation and may
# return another in its place. This one makes the attention from `=` uniform over the three positions:


# %%
def uniform(pattern: Float[Tensor, "pair head query source"], hook: object) -> Tensor:
    """Equal attention to all that a position may see."""
    allowed = (pattern > 0).float()
    return allowed / allowed.sum(dim=-1, keepdim=True)


hooks = {"blocks.0.attn.hook_pattern": uniform}

# %% [markdown]
# Which hooks are there? They are listed, with the shapes of their activations, in [adding to grokviz](../extending.md). A name
# that is misspelt is refused, with the nearest:

# %%
try:
    grokviz.measure(run, hooks={"blocks.0.attn.hook_patern": uniform})
except grokviz.GrokvizError as error:
    print(error)

# %% [markdown]
# `measure` with hooks takes measures at **every checkpoint under the intervention**. Nothing in the run is touched.

# %%
ablated = grokviz.measure(run, ["loss", "accuracy", "attention_mean"], hooks=hooks, label="uniform attention")
ablated["accuracy"].sel(split="test").isel(epoch=-1).item()

# %%
grokviz.figures.compare([measurements, ablated], "accuracy", split="test")

# %% [markdown]
# Measures of weights alone, such as `embedding_power`, are the same under a hook, since a hook changes activations.
#
# ## One head at a time
#
# The same with each head switched off: its output `z` is set to zero.


# %%
def without(head: int):
    """A hook that switches a head off."""

    def zero(z: Float[Tensor, "pair position head d_head"], hook: object) -> Tensor:
        z[:, :, head] = 0
        return z

    return {"blocks.0.attn.hook_z": zero}


parts = [grokviz.measure(run, "accuracy", hooks=without(h), label=f"without head {h}") for h in range(4)]
grokviz.figures.compare([measurements, *parts], "accuracy", split="test")

# %% [markdown]
# **Exercise.** Switch off *neurons* instead: all those whose strongest frequency is one key frequency k
# (`measurements["neuron_frequency"]`). Is the loss then about what `excluded_loss_by_frequency` says for k? Why not exactly?
#
# <details><summary>Solution</summary>
#
# ```python
# k = grokviz.key_frequencies_of(run)[0]
# owned = torch.from_numpy((measurements["neuron_frequency"].isel(epoch=-1) == k).values)
# hook = lambda post, hook: post.masked_fill(owned, 0)
# data = grokviz.measure_model(run.model("last"), run.config, "loss", hooks={"blocks.0.mlp.hook_post": hook})
# data["loss"].sel(split="train").item(), measurements["excluded_loss_by_frequency"].isel(epoch=-1).sel(frequency=k).item()
# ```
#
# The measure removes the frequency from the logits alone; the hook removes the neurons with all else that they carry, such as
# their mean and their harmonics.
#
# </details>
#
# Next: [comparing runs](4_comparing_runs.md).
