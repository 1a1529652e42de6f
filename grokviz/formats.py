"""The formats that there are, by their names, for whoever offers or takes them. Nothing is imported to know them."""

from typing import Literal, get_args

FigureFormat = Literal["html", "json", "png", "svg", "pdf"]
"""What a figure is written as (`figures/encoding.py`): the suffix of its file."""
FIGURE_FORMATS: tuple[str, ...] = get_args(FigureFormat)

NetworkFormat = Literal["transformer-lens", "transformer-lens-4", "progress-measures", "hub"]
"""Whose layout the file of a network has (`exporting/layouts.py`), or a folder that a model hub takes."""
NETWORK_FORMATS: tuple[str, ...] = get_args(NetworkFormat)
