"""The section of the training: how long, by what, where, and what is kept of it."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from grokviz.checks import number, one_of, plain_number, shown, whole
from grokviz.config.optimizers import OPTIMIZERS
from grokviz.config.section import Section, put, refusing_unknown_fields
from grokviz.errors import GrokvizError

EngineName = Literal["auto", "fused", "torch", "reference"]

WHERE = ("device", "engine", "threads")
"""Where a run is trained: it may go on elsewhere than before, which may change the last bits. Those of an engine with threads of
its own are the same on any number.
"""

MAX_EPOCHS = 10**9

HELD_EVALUATIONS = 3
"""An accuracy counts as reached when it holds in this many evaluations in a row."""


@refusing_unknown_fields
@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Section):
    """Full-batch training on the cross-entropy of the last position, and what is kept of it."""

    epochs: int = 30_000
    """Epochs; one epoch is one full-batch optimiser step."""
    optimizer: str = "adamw"
    """Optimiser: adamw, adam (weight decay as an L2 penalty), sgd (likewise), or muon (for the matrices of attention and
    MLP, each head's by itself; adamw for the embeddings and the unembedding)."""
    learning_rate: float = 1e-3
    """Learning rate."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay rates of the two moments of adamw and adam; the first is the momentum of sgd and muon."""
    weight_decay: float = 1.0
    """Weight decay; grokking needs it."""
    warmup_epochs: int = 0
    """Epochs over which the learning rate rises linearly from 0."""
    test_every: int = 10
    """Epochs between evaluations of the test loss."""
    checkpoint_every: int = 200
    """Epochs between regular checkpoints."""
    geometric_checkpoints: int = 60
    """Number of additional checkpoints, at geometrically spaced epochs. The first and the last epoch are always kept."""
    geometric_until: int | None = None
    """Epoch up to which these are spaced; the last one if not given. With it, which epochs are kept does not depend on how many
    there are."""
    stop_after: int | None = None
    """Stop this many epochs after the test accuracy first reaches stop_accuracy and holds it."""
    stop_accuracy: float = 0.99
    """Test accuracy that stop_after waits for, in 3 evaluations in a row."""
    engine: EngineName = "auto"
    """What computes the loss and its gradients: fused (a kernel in C++, on the CPU), torch (the same function without a
    compiler, and on a GPU), reference (autograd through the HookedTransformer itself) or auto (fused where it can be had,
    else torch)."""
    device: str = "cpu"
    """Device to train on, as torch names it: cpu, cuda, cuda:1, ..."""
    threads: int | None = None
    """Number of CPU threads while training; torch decides if not given."""

    def __post_init__(self) -> None:
        put(self, epochs=whole("epochs", self.epochs, least=1, most=MAX_EPOCHS, limit="that would take weeks"))
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        one_of("engine", self.engine, get_args(EngineName))
        for name in ("learning_rate", "weight_decay", "stop_accuracy"):
            put(self, **{name: number(name, getattr(self, name))})
        if self.learning_rate <= 0:
            raise GrokvizError(f"learning_rate is {self.learning_rate}, but must be above 0; 0.001 is usual")
        put(self, betas=_betas(self.betas))
        if self.weight_decay < 0:
            raise GrokvizError(f"weight_decay is {self.weight_decay}, but must not be negative; 1.0 is usual")
        put(self, warmup_epochs=whole("warmup_epochs", self.warmup_epochs, least=0))
        for name in ("test_every", "checkpoint_every"):
            put(self, **{name: whole(name, getattr(self, name), least=1)})
        checkpoints, limit = self.geometric_checkpoints, "each checkpoint is a file"
        checkpoints = whole("geometric_checkpoints", checkpoints, least=0, most=10_000, limit=limit)
        put(self, geometric_checkpoints=checkpoints)
        if self.geometric_until is not None:
            put(self, geometric_until=whole("geometric_until", self.geometric_until, least=1, most=MAX_EPOCHS))
        if self.stop_after is not None:
            put(self, stop_after=whole("stop_after", self.stop_after, least=0))
        if not 0 < self.stop_accuracy <= 1:
            raise GrokvizError(f"stop_accuracy is {self.stop_accuracy}, but must lie in (0, 1]; 0.99 is usual")
        if type(self.device).__module__ == "torch":
            put(self, device=str(self.device))
        if not isinstance(self.device, str) or not self.device:
            raise GrokvizError(f"device is {shown(self.device)}, but must be a device of torch, such as cpu or cuda")
        if self.threads is not None:
            put(self, threads=whole("threads", self.threads, least=1, most=1024, limit="no machine has more"))


def _betas(given: Any) -> tuple[float, float]:
    try:
        betas = [plain_number(beta) for beta in given]
    except TypeError:
        betas = []
    if len(betas) != 2 or None in betas:
        raise GrokvizError(f"betas is {shown(given)}, but must be two numbers; 0.9 0.98 is usual")
    first, second = (number("betas", beta) for beta in betas)
    if not (0 <= first < 1 and 0 <= second < 1):
        raise GrokvizError(f"betas is {(first, second)}, but both must lie in [0, 1); 0.9 0.98 is usual")
    return first, second
