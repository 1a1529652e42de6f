# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. Your own loop in fifteen lines
#
# grokviz trains networks, but most people have a loop already, in plain PyTorch, with a model of their own. It stays as it
# is: a `Monitor` follows it, and writes the run that `grokviz.train` would have written.
#
# > **What you will be able to do**
# >
# > - watch a circuit form while your own loop trains your own module
# > - say how grokviz has read the module, and why that can be trusted
# > - go on after a kill, from a checkpoint of your own

# %%
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu

import grokviz

# %% [markdown]
# ## The network and the loop
#
# An MLP of two embeddings, written with torch's own layers. grokviz knows nothing of it: neither its names, nor that a
# `Linear` holds its matrix transposed.

# %%
p, steps = 31, 1500
torch.manual_seed(0)


class Adder(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Embedding(p, 48), nn.Embedding(p, 48)
        self.hidden, self.answer = nn.Linear(96, 192), nn.Linear(192, p, bias=False)

    def forward(self, pairs):
        return self.answer(relu(self.hidden(torch.cat([self.left(pairs[:, 0]), self.right(pairs[:, 1])], dim=1))))


pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
answers = pairs.sum(dim=1) % p
train = torch.randperm(p * p)[: int(0.7 * p * p)]  # indices a * p + b: the order of `pairs`


def optimizer_of(model):
    return torch.optim.AdamW(model.parameters(), lr=5e-3, betas=(0.9, 0.98), weight_decay=1.0)


# %% [markdown]
# Three lines of the loop are new: `see` before each update, `loss` after it, `see` at the end.


# %%
def follow(monitor, model, optimizer, over):
    for step in over:
        monitor.see(step, model)
        loss = cross_entropy(model(pairs[train]).double(), answers[train])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        monitor.loss(step, train=loss.item())
    monitor.see(over.stop, model)


model = Adder()
optimizer = optimizer_of(model)
with grokviz.Monitor("runs/own_loop", "addition", p=p, train_pairs=train, steps=steps, every=100) as monitor:
    follow(monitor, model, optimizer, range(steps))

run = monitor.run
run

# %% [markdown]
# While it trains, `grokviz.watch(monitor)` serves the report, from before the first step on. Here the loop is over already,
# and the run is measured like any other.

# %%
data = grokviz.measure(run)
grokviz.figures.losses(data)

# %%
print(grokviz.find_phases(data).outcome.sentence)
grokviz.figures.spectrum(data, epoch="last")

# %% [markdown]
# ## Why the weights can be trusted
#
# Nobody said which tensor is the embedding. The monitor found out: it filled a copy of the module with random numbers, ran
# it, and compared the logits with those of grokviz's own forward. **Compared with** nothing, such a reading would be a guess.

# %%
for what, said in run.origin.lines():
    print(f"{what}: {said}")

# %% [markdown]
# A module that does anything else than its parameters say is refused at the first step, with what was found:


# %%
class Normalised(Adder):
    def forward(self, pairs):
        return nn.functional.layer_norm(super().forward(pairs), (p,))


try:
    with grokviz.Monitor("runs/refused", "addition", p=p, train_pairs=train) as refused:
        refused.see(0, Normalised())
except grokviz.GrokvizError as error:
    print(error)

# %% [markdown]
# And so is a split that the losses contradict. Told of the *other* pairs, the monitor notices that these are fitted worse:

# %%
other = torch.ones(p * p, dtype=torch.bool)
other[train] = False
misled = Adder()
try:
    with grokviz.Monitor("runs/contradicted", "addition", p=p, train_pairs=other, steps=200) as monitor:
        follow(monitor, misled, optimizer_of(misled), range(200))
except grokviz.GrokvizError as error:
    print(error)

# %% [markdown]
# ## After a kill
#
# Your loop keeps its own checkpoints: model and optimiser. When it starts again, `resume=True` lets the monitor go on at
# that step. What is written again must have the same hash as before: otherwise it is another trajectory, and refused.

# %%
with grokviz.Monitor("runs/own_loop", "addition", p=p, train_pairs=train, every=100, resume=True) as monitor:
    follow(monitor, model, optimizer, range(steps, steps + 100))
monitor.run

# %%
print(grokviz.check_run(Path("runs/own_loop")))

# %% [markdown]
# **Exercise.** Give the monitor `names={"left.weight": "W_y", "right.weight": "W_x"}`, the embeddings the wrong way round. What
# does it say, and what would have been measured, had it believed you?
