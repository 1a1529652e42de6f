# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. From nothing to the circles
#
# In this chapter you train a transformer on modular addition, watch it **grok**, and look inside at what it has learned:
# the numbers lie on circles, and it adds them by turning.
#
# > **What you will be able to do**
# >
# > - train a network with checkpoints over its whole training, and go on with it after an interruption
# > - read off when it memorised and when it grokked
# > - find the key frequencies of a network, and show that its tokens lie on a circle of each
# > - check such a claim by hand, from the raw weights
#
# ## The task
#
# The network reads three tokens, `a`, `b` and `=`, and must answer a + b mod p. With p = 59 there are
# 59² = 3481 such sums. We show it half of them, again and again, and keep the other half for testing.
#
# It is a one-layer transformer without LayerNorm, small enough to be understood completely: an embedding `W_E`, four attention
# heads, an MLP of 512 ReLU neurons, and an unembedding `W_U`.

# %%
import grokviz

config = grokviz.preset("quick")
config.task

# %% [markdown]
# ## Training
#
# `train` writes a *run*: one directory with the configuration, the losses of every epoch, and checkpoints of the weights. With
# `resume=True` this notebook can be executed again from the top: a finished run is returned at once, and one that was
# interrupted goes on where it stopped.

# %%
run = grokviz.train(config, "runs/quick", resume=True)
run

# %% [markdown]
# The loss curve in that card already tells the story. The train loss falls at once: the network *memorises*. The test loss first
# **rises** above chance, stays there for hundreds of epochs in which nothing seems to happen, and then falls. That late fall is
# grokking (Power et al. 2022).
#
# ## Measuring every checkpoint
#
# What happens in the silent stretch can only be seen inside the network. `measure` takes some forty measures at every
# checkpoint. The result is an `xarray.Dataset`: named axes, one of which is the epoch.

# %%
measurements = grokviz.measure(run)
measurements["embedding_power"]

# %%
grokviz.figures.losses(measurements)

# %% [markdown]
# The times are *intervals*, because test accuracy is evaluated only every ten epochs. Another machine may grok hundreds of epochs
# earlier or later, from rounding alone, so never quote one epoch as if it were a constant of nature.

# %%
phases = grokviz.find_phases(measurements)
print("memorised", phases.memorised)
print("grokked", phases.grokked)

# %% [markdown]
# ## Which frequencies?
#
# A function of the token can be written as a sum of waves cos(2πkx/p) and sin(2πkx/p), for k = 1, ..., 29: the
# discrete Fourier transform. A network that had learned nothing about the order of numbers would have a bit of every frequency.

# %%
grokviz.figures.spectrum(measurements, epoch="first")

# %%
grokviz.figures.spectrum(measurements, epoch="last")

# %% [markdown]
# At the end only a handful are left: the **key frequencies**. grokviz reads them off the *readout* `W_out W_U`, which maps
# neurons to logits, because a network may carry frequencies in its embedding that it never uses.

# %%
keys = grokviz.key_frequencies_of(measurements)
keys

# %% [markdown]
# ## The circles
#
# Take the embedding of each number, and look at it in the plane of one key frequency: the plane spanned by the directions that
# carry cos and sin of that frequency.

# %%
grokviz.figures.token_circles(measurements, epoch="first")

# %%
grokviz.figures.token_circles(measurements, epoch="last")

# %% [markdown]
# At initialisation that is a cloud. In the end the numbers stand in order around a circle; for frequency k they go round k
# times. To add a and b is now to add two angles, which a network can do with products of cosines and sines:
# cos w(a+b) = cos wa · cos wb − sin wa · sin wb, with w = 2πk/p. That is the algorithm of Nanda et al. 2023.
#
# ## Do not believe it, check it
#
# Everything above came out of a library. The claim is simple enough to check from the weights, with nothing but numpy:
# project `W_E` on the cosine and the sine of the strongest key frequency, and compare the two directions.

# %%
import numpy as np

W_E = run.weights("last")["embed.W_E"][:-1]  # without the row of '='
p = len(W_E)
k = max(keys, key=lambda k: measurements["embedding_power"].sel(frequency=k).isel(epoch=-1).item())

x = np.arange(p)
cos_direction = np.cos(2 * np.pi * k * x / p) @ W_E * 2 / p
sin_direction = np.sin(2 * np.pi * k * x / p) @ W_E * 2 / p

print("frequency", k)
print("lengths of the two directions", np.linalg.norm(cos_direction), np.linalg.norm(sin_direction))
cosine = cos_direction @ sin_direction / np.linalg.norm(cos_direction) / np.linalg.norm(sin_direction)
print("cosine of the angle between them", cosine)

# %% [markdown]
# Nearly equal lengths, nearly a right angle: a circle. (How nearly is the measure `circle_roundness`.)
#
# **Exercise.** An embedding with no structure at all would have its power spread evenly over the 29 frequencies. What share of
# the power of `W_E` do the key frequencies hold at the first checkpoint, and at the last?
#
# <details><summary>Solution</summary>
#
# ```python
# power = measurements["embedding_power"]
# share = power.sel(frequency=list(keys)).sum("frequency") / power.sum("frequency")
# share.isel(epoch=[0, -1]).values
# ```
#
# </details>

# %%
power = measurements["embedding_power"]
share = power.sel(frequency=list(keys)).sum("frequency") / power.sum("frequency")
print(f"{share[0]:.0%} at the first checkpoint, where chance is {len(keys) / power.sizes['frequency']:.0%}")
print(f"{share[-1]:.0%} at the last")

# %% [markdown]
# Next: [reading the report](2_reading_the_report.md), where all of this is on one page, and moves through training.
