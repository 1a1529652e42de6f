"""The configuration of a run: frozen sections that refuse nonsense, their JSON form, the presets, and what is known to grok."""

from grokviz.config.sections import (
    HELD_EVALUATIONS,
    MAX_P,
    PURE_NEURON,
    SECTIONS,
    SPLITS,
    WHERE,
    EngineName,
    Initialisation,
    ModelConfig,
    Operation,
    OutputVocabulary,
    RunConfig,
    Split,
    TaskConfig,
    TrainingConfig,
)

__all__ = [
    "HELD_EVALUATIONS",
    "MAX_P",
    "PURE_NEURON",
    "SECTIONS",
    "SPLITS",
    "WHERE",
    "EngineName",
    "Initialisation",
    "ModelConfig",
    "Operation",
    "OutputVocabulary",
    "RunConfig",
    "Split",
    "TaskConfig",
    "TrainingConfig",
]
