"""The architectures that there are. No torch."""

from collections.abc import Mapping

from grokviz.models.architecture import Architecture
from grokviz.models.transformer import TRANSFORMER

ARCHITECTURES: Mapping[str, Architecture] = {TRANSFORMER.name: TRANSFORMER}
"""All architectures, by their names."""
