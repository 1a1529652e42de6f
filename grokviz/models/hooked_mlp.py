"""The MLP of two embeddings as a hooked model of TransformerLens."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding as embedded
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

from grokviz.models.architecture import Blueprint
from grokviz.models.forward import activated


class HookedMLP(HookedRootModule):
    """The MLP with hook points at both embeddings, before and after the activation. Its parameters are called as they are
    published: W_x, W_y (not where one embedding is for both), W, W_U, b.
    """

    W_x: nn.Parameter
    W: nn.Parameter
    W_U: nn.Parameter
    b: nn.Parameter
    hook_x: HookPoint
    hook_y: HookPoint
    hook_pre: HookPoint
    hook_post: HookPoint

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__()
        self.blueprint = blueprint
        for name, shape in blueprint.shapes.items():
            setattr(self, name, nn.Parameter(torch.zeros(shape)))
        for name in ("hook_x", "hook_y", "hook_pre", "hook_post"):
            setattr(self, name, HookPoint())  # type: ignore[no-untyped-call]
        self.setup()  # type: ignore[no-untyped-call]

    def forward(self, pairs: Int[Tensor, "pair operand"], return_type: str = "logits") -> Float[Tensor, "pair class"]:
        """The logits of each pair (a, b) of elements."""
        x = self.hook_x(embedded(pairs[:, 0], self.W_x))
        of_second: Any = getattr(self, "W_y", self.W_x)
        y = self.hook_y(embedded(pairs[:, 1], of_second))
        before = self.hook_pre(torch.cat([x, y], dim=1) @ self.W + self.b)
        neurons = self.hook_post(activated(self.blueprint.activation, before.clone()))
        return neurons @ self.W_U
