# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. The argument of Nanda et al. 2023, with controls
#
# *Progress measures for grokking via mechanistic interpretability* ([arXiv 2301.05217](https://arxiv.org/abs/2301.05217))
# argues in four steps that a network which has grokked adds by rotating: its embedding holds a few frequencies, its logits
# are waves of these, it fails without them, and all of that was there long before it showed. Here each step is redone on a
# network of your own, and each number stands beside what something else would have given. Twice that changes what may be
# claimed.
#
# > **What you will be able to do**
# >
# > - redo the argument on any run, in fewer than sixty lines
# > - say of each of its numbers what it is compared with
# > - tell which of its claims a lookup table would also have passed

# %%
import numpy as np

import grokviz

run = grokviz.run(grokviz.preset("quick"), "runs/quick", resume=True)
data = run.measurements
end, start = data.isel(epoch=-1), data.isel(epoch=0)
keys = grokviz.key_frequencies_of(run)
print("key frequencies:", keys)

# %% [markdown]
# ## 1. The embedding is sparse in frequencies
#
# The share of W_E's power that lies in the key frequencies. **Compared with** the same at initialisation, and with the as
# many frequencies of a random network that hold the most: for whoever picks the largest finds something large.

# %%
power, random = end["embedding_power"], start["embedding_power"]
largest = np.sort(random.values)[-len(keys) :].sum()
print(f"keys {power.sel(frequency=list(keys)).sum().item():.1%}; at initialisation "
      f"{random.sel(frequency=list(keys)).sum().item():.1%}, and its {len(keys)} largest {largest:.1%}")  # fmt: skip
grokviz.figures.spectrum(run, epoch="last")

# %% [markdown]
# ## 2. The logits are waves of a + b
#
# If the network rotates, its logits are sums of cos w_k (a + b - c). The loss of those waves alone, all else of the logits
# thrown away, is the *restricted loss*. **Compared with** random frequencies, and with a *lookup table*: a network that
# answers its train pairs by heart and all others anyhow. Published, the waves are averaged over all pairs of one answer,
# train pairs included, so what is known by heart leaks into the number on test pairs.

# %%
published = end["restricted_accuracy"].sel(split="test").item()
unseen = end["unseen_restricted_accuracy"].item()
nulls = {name: end[f"{name}_null"] for name in ("restricted_accuracy", "unseen_restricted_accuracy")}
for name, null in nulls.items():
    lookup = null.where(null["null"].astype(str).str.startswith("lookup"), drop=True)
    of = lookup.sel(split="test") if "split" in lookup.dims else lookup
    print(f"{name}: {published if name == 'restricted_accuracy' else unseen:.1%}; "
          f"lookup tables {of.min().item():.1%} to {of.max().item():.1%}")  # fmt: skip

# %% [markdown]
# **Without the control** one would have claimed that restricted accuracy on test pairs shows the circuit. A lookup table has
# it, too. The unseen version, formed from pairs that are not trained on, is what a lookup table does not pass.
#
# ## 3. It fails without them
#
# Each key frequency is taken out of W_E, and the network run: an ablation, where excluded loss only subtracts a wave from the
# logits. **Compared with** other frequencies, which hold next to nothing, and with random *planes* of W_E that hold as much
# power.

# %%
cuts = [grokviz.interventions.remove(key) for key in keys]
found = grokviz.ablate(run, [*cuts, grokviz.interventions.keep(list(keys))], measures=["loss", "accuracy"])
table = grokviz.table_against(found)
table[["intervention", "control", "loss", "loss_median", "loss_low", "loss_high", "loss_rank", "accuracy"]]

# %%
grokviz.figures.necessity(run)

# %% [markdown]
# Read it twice. Beside *others* every key is needed. Beside *planes* it often is not special: as much power taken out
# anywhere in W_E does as much harm, since nearly all of W_E is the circuit. So "the network needs frequency k" holds, and "it
# needs k more than another part of W_E of that size" need not.
#
# ## 4. It was there before it showed
#
# Hidden progress: the restricted loss falls while the test loss still rises. **Compared with** its unseen version and the
# lookup tables: how much of the lead is leakage?

# %%
chance = np.log(59)
tests = {
    "test loss": data["loss"].sel(split="test_unmirrored"),
    "restricted loss, as published": data["restricted_loss"].sel(split="test"),
    "restricted loss, unseen": data["unseen_restricted_loss"],
}
for name, values in tests.items():
    below = values["epoch"].where(values < chance / 2, drop=True)
    print(f"{name} is below half of chance for the first time at epoch {int(below[0]):,}")
grokviz.figures.unseen_progress(run)

# %% [markdown]
# **Without the control** one would have dated the circuit by the published curve. What is left of the lead in the unseen
# version is the hidden progress; the rest is what was memorised.
#
# When can the circuit do the work? `grokviz.sufficiency(run)` keeps the key frequencies alone in W_E at every checkpoint, and
# says since when that network answers unseen pairs ([causes](../causes.md)).
#
# **Exercise.** Does the argument hold at 20 % of the pairs, where the network does not grok? Train `grokviz.preset("quick",
# train_fraction=0.2)`, and take `grokviz.measure(run, ["restricted_accuracy"], key_frequencies=[3, 7])`, for any two
# frequencies.
#
# <details><summary>Solution</summary>
#
# There are no key frequencies, and grokviz says so. With two of one's own, restricted accuracy on test pairs is 3 to 5 %, where
# chance is 1.7 %: two or three times as much, of a network that answers next to none of them. The unseen version
# (`unseen_restricted_accuracy`) is 0.0 %: what there was had leaked.
#
# </details>
#
# That is the tutorial. [Causes](../causes.md) has all interventions and controls.
