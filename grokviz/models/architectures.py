"""The architectures that there are. No torch."""

from collections.abc import Mapping

from grokviz.models.architecture import Architecture
from grokviz.models.mlp import MLP, MLP_TIED
from grokviz.models.transformer import TRANSFORMER

ARCHITECTURES: Mapping[str, Architecture] = {each.name: each for each in (TRANSFORMER, MLP, MLP_TIED)}
"""All architectures, by their names."""
