"""The formats in which a network is exported, by their names: whose layout, or a folder for a model hub. No torch."""

from typing import Literal, get_args

Format = Literal["transformer-lens", "transformer-lens-4", "progress-measures", "hub"]
"""Whose layout a file has (`exporting/layouts.py`), or a folder that a model hub takes."""

FORMATS: tuple[str, ...] = get_args(Format)
