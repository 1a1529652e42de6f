# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. Reading the report
#
# A report is one HTML file with everything that grokviz can draw of a run. It needs no network and no server, so it can be
# kept, mailed, and opened in ten years. This chapter goes through what it says, and how far to trust it.
#
# > **What you will be able to do**
# >
# > - make a report, and find any of its figures in Python
# > - tell the three phases of a grokking run apart, and know what defines them
# > - say what restricted and excluded loss show, and what they do not
#
# ## Train, measure, report: in one call

# %%
import grokviz

run = grokviz.run(grokviz.preset("quick"), "runs/quick", resume=True)
page = run.directory / "report.html"
print(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")

# %% [markdown]
# Open that file in a browser. The band on top, with the losses and accuracies, is the slider: click or drag in it, use the
# arrow keys with the band in focus, or press Play. Every panel of a single epoch follows, and every timeline shows a cursor
# there.
#
# - It begins with five sentences: what happened, when, how it computes, what it needs, whether it lasted. Each leads to what
#   shows it.
# - Point at a frequency anywhere, and it is shown off in all panels; click to pin it (or Tab, arrows, Enter). Its colour is
#   the same everywhere.
# - *Is it used?* takes each key frequency out of W_E, beside others that are taken out instead: measured where that was done,
#   and asked of the network in the page wherever the cursor rests.
# - Under *One worked sum* choose a and b, or another train, mirrored or unseen pair: where they lie on the circles, what each
#   head attends to, the neurons that fire, and the cosines that add up to the logits, all at the epoch of the cursor. Drag the
#   cursor back and watch the sum fall apart.
# - **Switch a part off**: a frequency out of W_E, a head or a group of neurons to its mean; or a random other instead, which is
#   the control. The answer changes while you look, and below stands what becomes of all pairs.
# - Click a neuron: the tab *One neuron* has its activation for every pair, the spectrum of that, and what it writes into the
#   logits.
# - The address of the page keeps epoch, tab and selection: a link to what you see.
#
# `grokviz run quick --watch` opens the same page while the run trains.
#
# ## Half of the test accuracy may be mirrors
#
# Addition is commutative, and half of the pairs are trained on: so the mirror (b, a) of half of the test pairs (a, b) is
# trained on. A network that treats its operands alike answers those as soon as it has memorised, and knows nothing of
# addition. So accuracy and loss are measured on both kinds, and the report gives both times.

# %%
accuracy = run.measurements["accuracy"].sel(split=["test", "test_mirrored", "test_unmirrored"])
accuracy.sel(epoch=400).to_pandas().round(3)

# %%
grokviz.figures.accuracies(run)

# %% [markdown]
# **Numbers at initialisation.** Some structure is there in random weights: tokens lie some 60 % "round" in any plane. So a
# finding gives its number beside that of initialisation, and says so where the two are no different.
#
# ## Findings are titles
#
# Every figure states its finding in its title, with the number to take away; the findings in the report are those titles. So a
# figure in Python says the same as the report:

# %%
figure = grokviz.figures.dimensionality(run)
figure.layout.title.text

# %% [markdown]
# Where a measure makes no sense, its figures are not drawn, and the report says why. A run that has not grokked has no key
# frequencies, so it has no restricted loss either: better no number than a wrong one.
#
# ## The phases
#
# Nanda et al. 2023 describe three phases, and define them by two losses that they invented:
#
# - **Restricted loss**: keep only the key frequencies of the logits, throw away all else. It falls *before* the test loss
#   does: the circuit is there long before it decides anything.
# - **Excluded loss**: throw away just the key frequencies. What is left is what was memorised. While the network memorises,
#   it falls like the train loss; when the circuit takes over, it rises.

# %%
grokviz.figures.progress_measures(run)

# %% [markdown]
# *Memorisation* ends where excluded loss is lowest; *cleanup* starts where the test loss first falls below chance, ln n;
# between the two the circuit forms, while neither of the ordinary losses shows anything of it. Cleanup lasts until the
# weights have shed what they will shed: the norm of all weights has made 95 % of its fall, and has settled. That test
# accuracy reaches 95 % somewhere on the way is a moment, and no end of a phase. The rule is kept with the result:

# %%
for phase in grokviz.find_phases(run):
    print(f"{phase.name:18} epochs {phase.start:,} to {phase.end:,}{'' if phase.over else ', still under way'}")
print(grokviz.find_phases(run).memorisation_in_words)
print("Rule:", grokviz.find_phases(run).rule)

# %% [markdown]
# The history alone tells when the run memorised and grokked, even of a run that has never been measured. What it cannot
# tell is absent, with the reason:

# %%
alone = grokviz.find_phases(run.history)
print(alone.grokked, "|", alone.why_no_phases)

# %% [markdown]
# ## What moves while nothing seems to happen
#
# This is the figure to look at twice: what each frequency is worth. For every frequency, the loss when it alone is removed
# from the logits. Those that matter stand out.

# %%
grokviz.figures.excluded_losses(run, epoch="last")

# %% [markdown]
# ## Attention
#
# In one layer the attention pattern depends on the tokens in the simplest way: each head has a score for each number, and the
# softmax of two of them and of `=` is the pattern. A map of the pattern over all pairs shows how a head shares out its
# attention between a and b, and often you can see the key frequency of the head in it.

# %%
grokviz.figures.attention_patterns(run, epoch="last")

# %% [markdown]
# ## Numbers for a table
#
# All that is one number an epoch, or one for each split, comes out as a table. On the command line:
# `grokviz measurements runs/quick --csv`.

# %%
table = grokviz.scalars(run)
table[["loss_train", "loss_test", "restricted_loss_test", "embedding_gini"]].iloc[[0, len(table) // 2, -1]]

# %% [markdown]
# Every measure explains itself, with its formula, its range and where it comes from:

# %%
run.measurements["restricted_loss"].attrs

# %% [markdown]
# **Exercise.** When does the restricted loss on test pairs first fall below one half of chance, and how long after that does
# the test loss itself?
#
# <details><summary>Solution</summary>
#
# ```python
# half = np.log(59) / 2
# first = lambda values: int(values["epoch"][(values < half).argmax()])
# first(data["restricted_loss"].sel(split="test")), first(data["loss"].sel(split="test"))
# ```
#
# </details>

# %%
import numpy as np

data, half = run.measurements, np.log(59) / 2
for name in ("restricted_loss", "loss"):
    values = data[name].sel(split="test")
    print(name, "is below half of chance from epoch", int(values["epoch"][int((values < half).argmax())]))

# %% [markdown]
# Next: [a measure and a hook of your own](3_a_measure_and_a_hook_of_your_own.md).
