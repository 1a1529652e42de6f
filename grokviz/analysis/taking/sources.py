"""Where networks to be measured come from: a run, or anything else that has them by epoch."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import xarray as xr

from grokviz.analysis.taking.hooks import Hooks, hook_pairs, names_of
from grokviz.analysis.taking.interventions.intervention import Intervention
from grokviz.analysis.taking.snapshot import Snapshot, refuse_senseless_parts, snapshot_of
from grokviz.checks import function, one_of, shown, whole
from grokviz.config import ModelConfig, TaskConfig, without_defaults
from grokviz.errors import GrokvizError
from grokviz.models.activations import ACTIVATIONS
from grokviz.models.weights import Weights
from grokviz.store import Run
from grokviz.tasks.task import Task

if TYPE_CHECKING:
    from grokviz.models.hooked import HookedRootModule


class UnreadableError(GrokvizError):
    """A network that cannot be read, for one that can be measured without."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Networks of one task and one shape, by epoch."""

    name: str
    task: TaskConfig
    """What they learned, and on which pairs: `task.trained_on(pairs)` where no seed draws these. The losses of the pairs are held
    against it, and a contradiction is warned of.
    """
    identities: Mapping[int, str]
    """By epoch, what tells the network there from any other, such as a hash of its file. They are kept ascending."""
    model: "Callable[[int], HookedRootModule | Weights | Mapping[str, Any]]"
    """The network of an epoch, or its weights, which are measured several times faster: arrays by TransformerLens' names, as
    `run.weights` gives them. May raise a GrokvizError for one that cannot be read.
    """
    history: xr.Dataset | None = None
    """Losses and accuracies by epoch, if there are any."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """All that is known of how the networks came to be, for the measurements to keep."""
    status: str = "finished"
    removed: Mapping[int, str] = field(default_factory=dict)
    """By epoch, what told networks from any other that are no longer there: what was measured of them stays."""
    hooks: Hooks = ()
    """Interventions under which all is measured; they need a hooked model."""
    activation: str = "relu"
    """The activation of networks whose weights are given alone: 'relu' or 'gelu'."""
    pairs_at_once: int | None = None
    """How many pairs hooks see at once: all, if not given."""
    split_known_by: str = ""
    """Why the split of the task needs no test; '' where it is only stated, and held against the losses of the pairs."""

    def __post_init__(self) -> None:
        """Refuse what is no source, and put the epochs in order."""
        if not isinstance(self.name, str):
            raise GrokvizError(f"name is {shown(self.name)}, but must be a text")
        if not isinstance(self.task, TaskConfig):
            raise GrokvizError(f"task is {shown(self.task)}, but must be a TaskConfig, such as run.config.task")
        if not isinstance(self.identities, Mapping) or not all(isinstance(i, str) for i in self.identities.values()):
            raise GrokvizError(
                f"identities is {shown(self.identities)}, but must map epochs to texts that tell the networks apart"
            )
        function("model", self.model, called="model(epoch)")
        one_of("activation", self.activation, ACTIVATIONS)
        if not isinstance(self.config, Mapping):
            raise GrokvizError(f"config is {shown(self.config)}, but must be a dict of plain values")
        if self.history is not None and not (isinstance(self.history, xr.Dataset) and "epoch" in self.history.dims):
            raise GrokvizError(f"history is {shown(self.history)}, but must be a Dataset by epoch, as run.history is")
        by_epoch = {whole("epoch", epoch, least=0): identity for epoch, identity in self.identities.items()}
        object.__setattr__(self, "identities", dict(sorted(by_epoch.items())))
        object.__setattr__(self, "hooks", hook_pairs(self.hooks))
        refuse_senseless_parts(self.pairs_at_once, self.hooks)

    def snapshot(self, epoch: int, under: Intervention | None = None) -> Snapshot:
        """The snapshot of epoch's network, under an intervention if one is given.

        Raises:
            UnreadableError: there is no network, for its file is damaged.
        """
        try:
            network = self.model(epoch)
        except GrokvizError as error:
            raise UnreadableError(str(error)) from error
        if isinstance(network, Mapping):
            weights = Weights.from_parameters(network, activation=ACTIVATIONS[self.activation])
            network = weights.for_elements(self.task.task.n)
        if not isinstance(network, Weights) and not hasattr(network, "hook_dict"):
            raise GrokvizError(
                f"model({epoch}) of {self.name} gave {shown(network)}, but must give a hooked model, or its weights"
            )
        return snapshot_of(
            network, self.task, epoch=epoch, hooks=self.hooks, pairs_at_once=self.pairs_at_once, under=under
        )

    @property
    def network(self) -> str:
        """What decides the meaning of a network's weights: the task, by what it asks and answers, and the architecture."""
        model = self.config.get("model")
        known = {
            "task": without_defaults(TaskConfig, self.task.to_dict()),
            "model": model and without_defaults(ModelConfig, model),
            "asks": _asked(self.task.task),
        }
        return json.dumps(known, sort_keys=True)


def run_source(run: Run) -> Source:
    """The checkpoints of `run`."""
    return Source(
        name=run.directory.resolve().name,
        task=run.config.task,
        identities=run.checkpoints,
        removed=run.removed,
        model=lambda epoch: Weights.from_arrays(run.config.blueprint, run.weights(epoch)),
        history=_history_or_none(run),
        config=run.config.to_dict(),
        status=run.status,
        split_known_by=_split_known_by(run),
    )


def _split_known_by(run: Run) -> str:
    if run.origin is None:
        return "drawn by the run itself"
    if run.origin.loop:
        return ""  # somebody says so, and it is held against the losses
    return f"of an import: {run.origin.found.get('split of the network', 'not said')}"


def _history_or_none(run: Run) -> xr.Dataset | None:
    """The history of `run`; None where nothing in it is a number, as of an imported network whose split is not known."""
    history = run.history
    return history if any(values.notnull().any() for values in history.data_vars.values()) else None


def intervened_source(run: Run, hooks: Hooks, *, pairs_at_once: int | None) -> Source:
    """The checkpoints of `run` under the interventions `hooks`. The history is left out: it is of the run without them."""
    plain, hooks = run_source(run), hook_pairs(hooks)
    name = f"{plain.name} under {names_of(hooks)}"
    return replace(plain, name=name, model=run.model, history=None, hooks=hooks, pairs_at_once=pairs_at_once)


def _asked(task: Task) -> str:
    """Hash of the pairs' answers and of the harmonics: two operations with the same one are the same."""
    blocks = task.known_blocks
    parts = [task.elements.tobytes(), task.answers.tobytes(), b"" if blocks is None else blocks.identity]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]
