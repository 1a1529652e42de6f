"""The configuration of a run: frozen sections that refuse nonsense, their JSON form, the presets, and what is known to grok."""

from grokviz.config.model import PURE_NEURON, Initialisation, ModelConfig, OutputVocabulary
from grokviz.config.run import SECTIONS, RunConfig
from grokviz.config.section import without_defaults
from grokviz.config.task import MAX_P, SPLITS, Operation, Split, TaskConfig, has_modulus
from grokviz.config.training import HELD_EVALUATIONS, WHERE, EngineName, TrainingConfig

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
    "has_modulus",
    "without_defaults",
]
