"""Where networks to be measured come from: a run, or anything else that has them by epoch."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import xarray as xr

from grokviz.analysis.hooks import Hooks, hook_pairs, names_of
from grokviz.analysis.snapshot import Snapshot, snapshot_of
from grokviz.config import TaskConfig
from grokviz.errors import GrokvizError
from grokviz.models.weights import Weights
from grokviz.store import Run
from grokviz.tasks.task import Task

if TYPE_CHECKING:
    from grokviz.models.hooked import HookedTransformer


class UnreadableError(GrokvizError):
    """A network that cannot be read, for one that can be measured without."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Networks of one task and one shape, by epoch."""

    name: str
    task: TaskConfig
    identities: Mapping[int, str]
    """By epoch, ascending, what tells the network there from any other, such as a hash of its file."""
    model: "Callable[[int], HookedTransformer | Weights]"
    """The network of an epoch, or its weights, which are measured several times faster. May raise a GrokvizError for one
    that cannot be read.
    """
    history: xr.Dataset | None = None
    """Losses and accuracies by epoch, if there are any."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """All that is known of how the networks came to be, for the measurements to keep."""
    status: str = "finished"
    hooks: Hooks = ()
    """Interventions under which all is measured; they need a HookedTransformer."""

    def snapshot(self, epoch: int) -> Snapshot:
        """The snapshot of epoch's network.

        Raises:
            UnreadableError: there is no network, for its file is damaged.
        """
        try:
            network = self.model(epoch)
        except GrokvizError as error:
            raise UnreadableError(str(error)) from error
        return snapshot_of(network, self.task, epoch=epoch, hooks=self.hooks)

    @property
    def network(self) -> str:
        """What decides the meaning of a network's weights: the task, by what it asks and answers, and the architecture."""
        known = {"task": self.task.to_dict(), "model": self.config.get("model"), "asks": _asked(self.task.task)}
        return json.dumps(known, sort_keys=True)


def run_source(run: Run) -> Source:
    """The checkpoints of `run`."""
    return Source(
        name=run.directory.resolve().name,
        task=run.config.task,
        identities=run.checkpoints,
        model=lambda epoch: Weights.from_arrays(run.config, run.weights(epoch)),
        history=_history_or_none(run),
        config=run.config.to_dict(),
        status=run.status,
    )


def _history_or_none(run: Run) -> xr.Dataset | None:
    """The history of `run`; None where nothing in it is a number, as of an imported network whose split is not known."""
    history = run.history
    return history if any(values.notnull().any() for values in history.data_vars.values()) else None


def intervened_source(run: Run, hooks: Hooks) -> Source:
    """The checkpoints of `run` under the interventions `hooks`. The history is left out: it is of the run without them."""
    plain, hooks = run_source(run), hook_pairs(hooks)
    name = f"{plain.name} under {names_of(hooks)}"
    return replace(plain, name=name, model=run.model, history=None, hooks=hooks)


def model_source(model: "HookedTransformer", task: TaskConfig, *, epoch: int, hooks: Hooks) -> Source:
    """One network, which belongs to no run."""
    return Source(name="model", task=task, identities={epoch: ""}, model=lambda _: model, hooks=hooks)


def _asked(task: Task) -> str:
    """Hash of the pairs' answers and of the places of the elements: two operations with the same one are the same."""
    parts = [task.elements, task.answers, *([] if task.coordinates is None else [task.coordinates])]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]
