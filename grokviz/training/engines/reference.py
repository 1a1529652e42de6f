"""The reference engine: autograd through the HookedTransformer itself, on any device."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.config import RunConfig
from grokviz.models.hooked import bare_model, tokens_of
from grokviz.training.engines.autograd import AutogradEngine
from grokviz.training.engines.engine import Batch, Engine


def reference(config: RunConfig, parameters: Mapping[str, Tensor], train_batch: Batch, test_batch: Batch) -> Engine:
    """Autograd through the HookedTransformer of `config`, with `parameters` in the place of its own."""
    model = bare_model(config.blueprint).to(train_batch.pairs.device, print_details=False)

    def logits(pairs: Int[Tensor, "pair operand"]) -> Float[Tensor, "pair class"]:
        tokens = tokens_of(config.blueprint, pairs)
        return torch.func.functional_call(model, dict(parameters), (tokens,))[:, -1]

    return AutogradEngine("reference", logits, parameters, train_batch, test_batch)
