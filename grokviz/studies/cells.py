"""A cell of a study: one configuration, known by a hash of all that decides its numbers."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from grokviz.config import SECTIONS, RunConfig, without_defaults

NOT_HASHED = ("epochs", "stop_after", "stop_accuracy", "threads", "device", "engine")
"""Fields of the training that do not make a cell another: how long it is trained, and where."""


@dataclass(frozen=True)
class Cell:
    """One run of a study."""

    place: Mapping[str, Any]
    """Its value on each axis, by the field."""
    config: RunConfig
    name: str = ""
    """What its directory is called, of a run that no study planned."""

    @property
    def said(self) -> str:
        """Where it is in the study, in words."""
        if self.name:
            return f"{self.name} ({place_in_words(self.place)})" if self.place else self.name
        return place_in_words(self.place)

    @cached_property
    def id(self) -> str:
        """By what it is known, and what its directory is called."""
        return self.name or cell_id(self.config)


def place_in_words(place: Mapping[str, Any]) -> str:
    """The values on the axes in words."""
    return ", ".join(f"{name} = {value}" for name, value in place.items()) or "without axes"


def cell_id(config: RunConfig) -> str:
    """The hash of task, model and training, without how long and where it is trained. Defaults are left out, so that a field that
    is new changes no hash.

    >>> from grokviz.config.presets import preset
    >>> cell_id(preset("quick")) == cell_id(preset("quick").with_training(epochs=8000, threads=2))
    True
    """
    values = config.to_dict()
    known = {name: without_defaults(section, values[name] or {}) for name, section in SECTIONS.items()}
    known["training"] = {name: value for name, value in known["training"].items() if name not in NOT_HASHED}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]
