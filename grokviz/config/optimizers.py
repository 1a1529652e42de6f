"""The optimisers: each is one or several of torch's, that share the trained parameters out among them. No torch.

To add one, write which of torch's optimisers takes which parameters, with which options, and give it its name in `OPTIMIZERS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol


class Rates(Protocol):
    """What a configuration says of an optimiser."""

    @property
    def learning_rate(self) -> float:
        """The learning rate."""

    @property
    def betas(self) -> tuple[float, float]:
        """The decay rates of two moments."""

    @property
    def weight_decay(self) -> float:
        """The weight decay."""


Options = Callable[[Rates], Mapping[str, Any]]
"""The arguments of one of torch's optimisers."""


@dataclass(frozen=True)
class Share:
    """The parameters that one of torch's optimisers takes."""

    kind: str
    """The class in torch.optim; of AdamW, that which goes with the engine."""
    options: Options
    takes: Literal["all", "hidden", "others"] = "all"
    """All parameters; or the hidden matrices, which map neither from nor to tokens, each head's by itself; or all but these."""


def common(rates: Rates) -> dict[str, Any]:
    """What every optimiser is told."""
    return {"lr": rates.learning_rate, "weight_decay": rates.weight_decay}


def of_adam(rates: Rates) -> dict[str, Any]:
    """What AdamW and Adam are told."""
    return {**common(rates), "betas": rates.betas, "fused": True}


def of_sgd(rates: Rates) -> dict[str, Any]:
    """What SGD is told: its momentum is the first of the betas."""
    return {"momentum": rates.betas[0], **common(rates)}


def of_muon(rates: Rates) -> dict[str, Any]:
    """What Muon is told. Its updates are scaled to the size of AdamW's, so that one learning rate and one weight decay mean the
    same for both.
    """
    return {"momentum": rates.betas[0], "adjust_lr_fn": "match_rms_adamw", **common(rates)}


OPTIMIZERS: Mapping[str, Sequence[Share]] = {
    "adamw": (Share("AdamW", of_adam),),
    "adam": (Share("Adam", of_adam),),
    "sgd": (Share("SGD", of_sgd),),
    "muon": (Share("Muon", of_muon, "hidden"), Share("AdamW", of_adam, "others")),
}
"""All optimisers, by their names."""
