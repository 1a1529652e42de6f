"""What an engine is: the loss over the train pairs with its gradients, and the scores of the test pairs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.models.loss import correct, cross_entropies


@dataclass(frozen=True)
class Batch:
    """Pairs with their answers: the train set or the test set."""

    pairs: Int[Tensor, "pair operand"]
    answers: Int[Tensor, "pair"]


@dataclass(frozen=True)
class Scores:
    """How a batch is answered."""

    loss: float
    """Cross-entropy of the right answers, mean over the batch, in nats; computed in float64."""
    accuracy: float
    """Share of the batch that is answered correctly."""

    @classmethod
    def of(cls, logits: Float[Tensor, "pair class"], batch: Batch) -> "Scores":
        """The scores of `logits`."""
        loss = cross_entropies(logits, batch.answers).mean().item()
        return cls(loss, correct(logits, batch.answers).double().mean().item())


class Engine(Protocol):
    """The one-layer transformer over a train batch and a test batch, at parameters that an optimiser changes in place.

    Engines differ in speed and in the last bits alone. Given the same parameters each gives the same bits every time.
    """

    @property
    def name(self) -> str:
        """What computes, for the record of the run: another name may mean other last bits."""

    @property
    def own_threads(self) -> bool:
        """Whether it has threads of its own, on whose number no bit depends, and beside which torch's would be in the way."""

    @property
    def adamw(self) -> Callable[..., torch.optim.Optimizer]:
        """The AdamW that goes with it: torch's, or one with its arguments that shares the engine's threads."""

    def gradients(self) -> Scores:
        """The scores of the train batch; and in `grad` of every parameter the gradient of its loss."""

    def test_scores(self) -> Scores:
        """The scores of the test batch, at the parameters that `gradients` was called at last."""
