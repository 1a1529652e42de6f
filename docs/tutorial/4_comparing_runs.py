# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. Comparing runs
#
# One run shows that something happens; several show what it depends on.
#
# > **What you will be able to do**
# >
# > - train variants of a configuration, each in its own directory, and follow them with a function of your own
# > - compare them in one figure and one table
# > - train on an operation of your own
#
# ## Weight decay
#
# Grokking needs a reason to prefer the general solution over the memorised one. Here it is weight decay. What does half of
# it do? Configurations are frozen; `with_training` gives a changed copy.

# %%
import warnings

import grokviz

quick = grokviz.preset("quick")
half = quick.with_training(weight_decay=quick.training.weight_decay / 2, geometric_checkpoints=30)
runs = {
    "weight decay 1": grokviz.train(quick, "runs/quick", resume=True),  # of the first notebook
    "weight decay 0.5": grokviz.train(half, "runs/half", resume=True),
}

{name: str(grokviz.find_phases(run.history).outcome) for name, run in runs.items()}

# %%
data = [grokviz.measure(run, label=name) for name, run in runs.items()]
grokviz.figures.compare(data, "accuracy", split="test")

# %% [markdown]
# `compare` draws any measure that is one number an epoch. Do the two networks end with equally concentrated embeddings?

# %%
grokviz.figures.compare(data, "embedding_gini")

# %% [markdown]
# ## One dataset, one table
#
# `concat` joins measurements along an axis `run`. They may have different key frequencies, epochs, even different p: what one
# does not have is NaN there.

# %%
both = grokviz.concat(data)
table = grokviz.scalars(both)
table.groupby("run")[["loss_test", "accuracy_test", "embedding_gini"]].last()

# %% [markdown]
# What became of each, how they differ, and where each stands at one moment, is a table with a row for each; on the command line
# `grokviz compare runs/quick runs/half --csv`, and without `--csv` a page on which both are scrubbed at one cursor.
#
# Which moment? Ranks and norms go on falling long after the accuracy is there, and these two did not grok at the same time. So
# take each at equal time since it grokked: the first checkpoint at or after 1.05 times that epoch. What a run has not reached is
# said, and not averaged away.

# %%
last = grokviz.scalars(both, at="last")
last[["training.weight_decay", "outcome", "grokked_after", "grokked_by", "grokked_unmirrored_by", "delay_ratio_least"]]

# %%
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    alike = grokviz.scalars(both, at=("grokked", 1.05))
print(*[str(warning.message) for warning in said], sep="\n")
alike[["epoch", "key_frequencies", "loss_test", "embedding_participation_rank"]]

# %% [markdown]
# **Two runs are no experiment.** Seeds matter: `split_seed` decides which pairs are trained on, and, if `seed` is not given, the
# initial weights too. Before you believe a difference, train each variant with several.
#
# ## Following a training
#
# A function given as `on_evaluation` is called at every evaluation with the epoch, the losses and accuracies, and the network.
# `grokviz.trackers` has such functions for Weights & Biases, TensorBoard and trackio. This one keeps the largest weight
# of the unembedding:

# %%
largest = {}


def note(epoch: int, row: dict, model) -> None:
    largest[epoch] = model.W_U.abs().max().item()


short = quick.with_training(epochs=100)
grokviz.train(short, "runs/short", resume=True, on_evaluation=note, progress=False)
{epoch: round(value, 3) for epoch, value in list(largest.items())[-3:]}

# %% [markdown]
# What such a function raises ends the training, with all saved; `resume=True` goes on. If you execute this notebook again,
# the dictionary stays empty: the run is finished, and there is nothing to evaluate.
#
# ## An operation of your own
#
# Any function of two residues can be learned about. It is called for every pair with whole numbers, and its answers are
# recorded in the run, so that the run can be opened anywhere.

# %%
from dataclasses import replace


def twice_the_first(a: int, b: int, p: int) -> int:
    """2a + b."""
    return (2 * a + b) % p


own = replace(quick, task=replace(quick.task, operation=twice_the_first)).with_training(
    epochs=1000, geometric_checkpoints=20
)
run = grokviz.train(own, "runs/own", resume=True)
measured = grokviz.measure(run)
run

# %% [markdown]
# grokviz does not know on which circle the network would place the numbers for your operation. So measures that need that are
# absent, and say so; all others are there.

# %%
import json

absent = json.loads(measured.attrs["absent"])
print(absent["restricted_loss"])
print(len(absent), "measures are absent;", int(measured["loss"].notnull().all()) and "loss is there")

# %%
grokviz.figures.accuracies(measured)

# %% [markdown]
# Next: [the argument of Nanda et al. 2023, with controls](5_the_argument_of_nanda_2023.md). [Adding to grokviz](../extending.md)
# shows how to give it a measure, a figure or an operation for good.
