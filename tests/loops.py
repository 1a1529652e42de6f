"""Training loops as somebody might write them, and small tasks for them."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import grokviz
from grokviz.config import ModelConfig, RunConfig, TaskConfig, TrainingConfig
from grokviz.models.loss import cross_entropies
from grokviz.tasks.split import train_mask

N = 7
TASK = TaskConfig(p=N, train_fraction=0.6)
STEPS = 40
OWN = RunConfig(
    task=TASK,
    model=ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=32),
    training=TrainingConfig(epochs=STEPS, checkpoint_every=10, threads=1, engine="reference"),
)
"""What grokviz trains by itself as the loop below does."""


def data(task: TaskConfig = TASK) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens a b = of all pairs, their answers, and which are trained on."""
    pairs, answers = torch.from_numpy(task.task.pairs), torch.from_numpy(task.task.answers)
    return torch.cat([pairs, torch.full_like(pairs[:, :1], task.task.n)], dim=1), answers, train_mask(task)


class Small(nn.Module):
    """An MLP of two embeddings, of torch's own layers: it needs no TransformerLens."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Embedding(N, 8), nn.Embedding(N, 8)
        self.hidden, self.out = nn.Linear(16, 24), nn.Linear(24, N, bias=False)
        generator = torch.Generator().manual_seed(0)
        for values in self.parameters():
            nn.init.normal_(values, std=0.3, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits of tokens a b, and whatever follows them."""
        return self.out(self.hidden(torch.cat([self.first(tokens[:, 0]), self.second(tokens[:, 1])], dim=1)).relu())


class Loop:
    """A model, its optimiser and its data: what somebody keeps in a checkpoint of their own."""

    def __init__(self, model: nn.Module, *, learning_rate: float = 1e-3) -> None:
        self.model = model
        self.optimizer = torch.optim.AdamW(
            [values for values in model.parameters() if values.requires_grad],
            lr=learning_rate, betas=(0.9, 0.98), weight_decay=1.0, fused=True,
        )  # fmt: skip
        self.tokens, self.answers, self.train = data()

    def update(self) -> float:
        """One update; the train loss before it."""
        logits = self.model(self.tokens[self.train])
        logits = logits[:, -1] if logits.ndim == 3 else logits
        loss = cross_entropies(logits, self.answers[self.train]).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def state(self) -> dict[str, Any]:
        """What it goes on from: a copy."""
        parts = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return torch.load(_bytes(parts), weights_only=False)

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        copy = torch.load(_bytes(state), weights_only=False)
        self.model.load_state_dict(copy["model"])
        self.optimizer.load_state_dict(copy["optimizer"])


def _bytes(parts: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.save(parts, buffer)
    buffer.seek(0)
    return buffer


def watched(directory: Path, loop: Loop, over: range, **given: Any) -> grokviz.Monitor:
    """The loop's steps, followed by a monitor."""
    given = {"p": N, "train_pairs": loop.train, "steps": STEPS, "every": 10, **given}
    with grokviz.Monitor(directory, "addition", **given) as monitor:
        for step in over:
            monitor.see(step, loop.model)
            monitor.loss(step, train=loop.update())
        monitor.see(over.stop, loop.model)
    return monitor


def states_of(loop: Loop, steps: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The states of a loop before each of its updates, and after the last."""
    for step in range(steps):
        yield step, loop.state()
        loop.update()
    yield steps, loop.state()
