"""The configuration of a run: its sections, and their JSON form."""

from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from grokviz.checks import same_names, shown
from grokviz.config.model import ModelConfig
from grokviz.config.section import fields_of
from grokviz.config.task import TaskConfig
from grokviz.config.training import TrainingConfig
from grokviz.errors import GrokvizError, LackingError
from grokviz.models.activations import ACTIVATIONS
from grokviz.models.architecture import Blueprint
from grokviz.models.architectures import ARCHITECTURES
from grokviz.tasks.given_split import GivenSplit
from grokviz.tasks.task import operation_of

SECTIONS = {"task": TaskConfig, "model": ModelConfig, "training": TrainingConfig}


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides a run.

    >>> config = RunConfig(task=TaskConfig(p=31, operation="subtraction"))
    >>> config.d_vocab, config.task.n_train
    (32, 288)
    """

    task: TaskConfig = field(default_factory=TaskConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig | None = field(default_factory=TrainingConfig)
    """None for a network that grokviz did not train: imported, or of a loop of somebody's own."""

    def __post_init__(self) -> None:
        for name, section in SECTIONS.items():
            if not isinstance(getattr(self, name), section) and not (name == "training" and self.training is None):
                raise GrokvizError(f"{name} is {shown(getattr(self, name))}, but must be a {section.__name__}(...)")

    def __getstate__(self) -> dict[str, Any]:
        """Pickled as what it says, without what was worked out from that."""
        return fields_of(self)

    @cached_property
    def blueprint(self) -> Blueprint:
        """What the network is made of, with all sizes."""
        model = self.model
        widths = {"d_model": model.d_model, "head": model.n_heads, "d_head": model.d_head, "neuron": model.d_mlp}
        return Blueprint(
            architecture=ARCHITECTURES[model.architecture],
            n=self.task.task.n,
            positions=model.positions,
            operand_tokens=model.operand_tokens,
            answers_alone=model.output_vocabulary == "answers",
            activation=ACTIVATIONS[model.activation],
            biases=model.biases,
            widths={axis: size for axis, size in widths.items() if size is not None},
        )

    @property
    def equals_token(self) -> int | None:
        """The token '=', which stands after the two operands: the one after theirs; None where none does."""
        return self.blueprint.equals_token

    @property
    def d_vocab(self) -> int:
        """Number of input tokens: those of the operands, and '=' if it is read."""
        return self.blueprint.sizes["vocab"]

    @property
    def d_vocab_out(self) -> int:
        """Number of classes that the unembedding scores."""
        return self.blueprint.sizes["class"]

    def with_training(self, **changes: Any) -> "RunConfig":
        """The configuration with other values in its training section."""
        return replace(self, training=replace(self.known_training, **changes))

    @property
    def known_training(self) -> TrainingConfig:
        """The training section.

        Raises:
            LackingError: it is not known how the network was trained.
        """
        if self.training is None:
            raise LackingError("it is not known how the network was trained: grokviz did not train it")
        return self.training

    def to_dict(self) -> dict[str, Any]:
        """The configuration as nested dictionaries of plain values, for JSON."""
        training = None if self.training is None else asdict(self.training)
        return {"task": self.task.to_dict(), "model": asdict(self.model), "training": training}

    def outline(self) -> dict[str, Any]:
        """The configuration for people: as `to_dict`, but an operation of one's own by its name, and a given split in words."""
        values = self.to_dict()
        return {
            **values,
            "task": {**values["task"], "operation": str(self.task.operation), "split": str(self.task.split)},
        }

    @classmethod
    def from_dict(cls, values: Any) -> "RunConfig":
        """The configuration that `to_dict` wrote.

        Raises:
            GrokvizError: a section or field is unknown, missing or senseless; the message names it.
        """
        same_names("config", values, set(SECTIONS))
        parts: dict[str, Any] = {}
        for name, section in SECTIONS.items():
            if name == "training" and values[name] is None:
                parts[name] = None
                continue
            same_names(f"config section '{name}'", values[name], {f.name for f in fields(section)})
            parts[name] = section(**{field: _read(field, value) for field, value in values[name].items()})
        return cls(**parts)


def _read(name: str, value: Any) -> Any:
    """The value of a field as a file has it. A split is a recipe, or given pair by pair."""
    if name == "operation":
        return operation_of(value)
    if name == "split" and not isinstance(value, str):
        return GivenSplit.from_dict(value)
    return value
