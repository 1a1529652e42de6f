"""The Monitor: a run of somebody's own training loop, written while it trains.

    with grokviz.Monitor("runs/mine", "addition", p=59, train_pairs=train, steps=steps) as monitor:
        for step in range(steps):
            monitor.see(step, model)                  # the weights before the update
            ...                                       # forward, backward, update
            monitor.loss(step, train=loss.item())     # the losses of those weights, if they are at hand
        monitor.see(steps, model)

The run is of the kind that `grokviz.train` writes, by the same writer: whole or not at all, verified, and open to `measure`,
`report`, `watch` and `compare` while it grows.
"""

import math
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from grokviz.checks import as_path, function, one_of, plain_number, shown, whole
from grokviz.config import Operation, RunConfig, TaskConfig, TrainingConfig
from grokviz.config.training import MAX_EPOCHS
from grokviz.errors import DiskError, GrokvizError, GrokvizWarning
from grokviz.monitoring.beginning import begun, config_of, origin_of, task_of
from grokviz.monitoring.finding import find
from grokviz.monitoring.found import Found
from grokviz.monitoring.judging import ContradictionError, Judge, on_its_own
from grokviz.monitoring.modules import Logits, hooks_of, tensors_of, unwrapped
from grokviz.monitoring.naming import Names
from grokviz.store import Run, RunWriter, open_run
from grokviz.tasks.train_pairs import TrainPairs
from grokviz.training.schedule import geometric_epochs

OnError = Literal["raise", "warn"]

SECONDS_BETWEEN_ROWS = 0.05
"""A row takes longer to write than all else that a step without a checkpoint asks for; so several are written together."""

EVERY = 200
"""Steps between regular checkpoints, where that is not said."""


class Monitor:
    """Writes the run of a training loop that is not grokviz's. The loop says what it does: `see(step, model)` before each update,
    `loss(step, ...)` where it knows a loss; the rest of a row is measured at checkpoints. It is a context manager.

    The module is only read: its mode, hooks, gradients and device, and the global generators, are as they would be without.
    Under DistributedDataParallel it writes in the first process, and does nothing in the others.

    A class with state, because it follows a loop: the row of the step that goes on, and the open run.
    """

    def __init__(
        self,
        directory: str | Path,
        task: Operation | TaskConfig,
        *,
        p: int | None = None,
        train_pairs: TrainPairs | None = None,
        steps: int | None = None,
        every: int | None = None,
        names: Names | None = None,
        logits: Logits | None = None,
        stated: Mapping[str, Any] | None = None,
        resume: bool = False,
        on_error: OnError = "raise",
    ) -> None:
        """A monitor of the new run `directory`. Nothing is written before it sees a model.

        Args:
            task: what is learned: an operation, a group, a function of your own, or a `TaskConfig`, which may have the split.
            p: the modulus of an operation.
            train_pairs: the pairs that are trained on: indices a * n + b, pairs (a, b), a mask of all pairs, or a file of these.
            steps: how many updates there will be. With it, checkpoints lie as those of `grokviz.train`: geometrically early,
                regularly later, and the last. Without, they are regular, and the end is written on closing.
            every: steps between regular checkpoints; 200 if not given.
            names: which tensor of the module is which of ours, as {"embed.weight": "W_E", "attn.in_proj_weight": ("W_Q", "W_K",
                "W_V")}; found if not given, and what is left out. Axes and heads are always found.
            logits: how the logits of pairs are had, as logits(model, pairs) -> [pair, class], where model(tokens) does not give
                them.
            stated: what is to be kept of the training, such as {"learning_rate": 1e-3}; it is shown as said, not checked.
            resume: whether the run may be there already, and the loop goes on with it from a checkpoint of its own.
            on_error: "raise", or "warn" where a full disk, or a split that the losses contradict, is not to end the loop: what
                was not written is tried again at the next checkpoint.

        Raises:
            GrokvizError: an argument is senseless; the message says which.
        """
        self.directory = as_path("directory", directory)
        one_of("on_error", on_error, get_args(OnError))
        every = whole("every", EVERY if every is None else every, least=1)
        if steps is not None:
            steps = whole("steps", steps, least=1, most=MAX_EPOCHS)
        schedule = None if steps is None else TrainingConfig(epochs=steps, checkpoint_every=every)
        self._early = frozenset() if schedule is None else geometric_epochs(schedule) | {steps}
        """The steps of checkpoints besides the regular ones: those of `grokviz.train`."""
        if logits is not None:
            function("logits", logits, called="logits(model, pairs)")
        if stated is not None and not isinstance(stated, Mapping):
            raise GrokvizError(f"stated is {shown(stated)}, but must be a mapping, such as {{'learning_rate': 0.001}}")
        self._task = task_of(task, p=p, train_pairs=train_pairs)
        self._steps, self._every, self._names, self._logits = steps, every, names, logits
        self._stated, self._resume, self._on_error = dict(stated or {}), bool(resume), on_error
        self._judge = Judge(self._task)
        self._open = ExitStack()
        weakref.finalize(self, self._open.close)  # where nobody closes it
        self._writer: RunWriter | None = None
        self._model: Any = None
        self._module: nn.Module | None = None
        self._config: RunConfig | None = None
        self._found: Found | None = None
        self._rows: list[tuple[int, dict[str, float]]] = []
        """Rows that are not in the file yet."""
        self._written = -math.inf
        """When they were written last."""
        self._step = -1
        """The step that goes on: its row is not complete."""
        self._row: dict[str, float] = {}
        self._taken: dict[str, np.ndarray] | None = None
        """Its weights, if they are a checkpoint."""
        self._keeps_next = False
        """Whether the next weights are kept in any case, for nothing is there yet."""
        self._mark: tuple[float, ...] = ()
        self._is_idle = not _is_first_process()
        """Whether it does nothing: it is closed, or the run has diverged, or another process writes."""

    def __fspath__(self) -> str:
        """The directory, so that a monitor can be given wherever a run can."""
        return str(self.directory)

    def __repr__(self) -> str:
        return (
            f"Monitor({str(self.directory)!r}: step {self._step:,})"
            if self._step >= 0
            else f"Monitor({str(self.directory)!r})"
        )

    @property
    def run(self) -> Run:
        """The run as far as it is written.

        Raises:
            GrokvizError: there is none yet.
        """
        return open_run(self.directory)

    def see(self, step: int, model: nn.Module) -> None:
        """Look at `model` before the update of `step`: its weights are kept where the schedule wants a checkpoint. The first that
        is seen is kept in any case.

        Raises:
            GrokvizError: the steps do not ascend; the model cannot be read, or is of another task; or the run cannot be written.
        """
        if not self._arrives(step):
            return
        if model is not self._model:
            self._look_at(model)
        if self._taken is None and (self._keeps_next or self._step % self._every == 0 or self._step in self._early):
            self._take()
        self._mark = self._marks()

    def loss(
        self,
        step: int,
        *,
        train: float | None = None,
        test: float | None = None,
        train_accuracy: float | None = None,
        test_accuracy: float | None = None,
    ) -> None:
        """Keep what the loop knows of the weights before the update of `step`: mean cross-entropies in nats, and the shares of
        pairs that are answered rightly. It may be called several times a step.

        Raises:
            GrokvizError: the steps do not ascend, or what is given is no number.
        """
        if not self._arrives(step):
            return
        row = self._row
        if train is not None:
            row["train_loss"] = train if type(train) is float else _number("train", train)
        if test is not None:
            row["test_loss"] = test if type(test) is float else _number("test", test)
        if train_accuracy is not None:
            row["train_accuracy"] = _number("train_accuracy", train_accuracy)
        if test_accuracy is not None:
            row["test_accuracy"] = _number("test_accuracy", test_accuracy)

    def close(self) -> None:
        """End the run: with the weights as they are now, as those of the next step if they have changed since they were seen."""
        if self._is_idle:
            self._open.close()
            return
        try:
            if self._writer is None:
                warnings.warn(
                    f"the monitor of {self.directory} has seen no model, so there is no run; call see(step, model) in the loop",
                    GrokvizWarning,
                    stacklevel=2,
                )
                return
            if self._marks() != self._mark:
                self._go_to(self._step + 1)
            if self._taken is None and not self._is_idle:
                self._take()
            if not self._is_idle:
                self._end("finished" if self._steps is None or self._step >= self._steps else "stopped")
        finally:
            self._is_idle = True
            self._open.close()

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            if self._writer is not None and not self._is_idle:
                self._end("interrupted")
        except GrokvizError as another:  # the error that ends the loop is the one to be seen
            warnings.warn(str(another), GrokvizWarning, stacklevel=2)
        finally:
            self._is_idle = True
            self._open.close()

    def _arrives(self, step: int) -> bool:
        """Be at `step`; False where nothing is to be done any more."""
        if self._is_idle:
            return False
        if type(step) is not int or step < 0:
            step = whole("step", step, least=0, most=MAX_EPOCHS)
        if step != self._step:
            self._go_to(step)
        return not self._is_idle

    def _go_to(self, step: int) -> None:
        """End the step that went on, and begin another."""
        if step < self._step:
            raise GrokvizError(
                f"step {step:,} comes after step {self._step:,}, but steps only ascend; a loop that goes on from an earlier "
                "checkpoint of its own does so with a new Monitor(..., resume=True)"
            )
        ended = self._step, self._row, self._taken
        self._step, self._row, self._taken = step, {}, None
        if ended[0] >= 0:
            self._complete(*ended)

    def _take(self) -> None:
        """Make the weights as they are now the checkpoint of the step that goes on."""
        assert self._writer is not None
        self._taken, self._keeps_next = self._weights_now(), False
        if not all(np.isfinite(values).all() for values in self._taken.values()):
            self._diverge(self._step, "weights are no finite numbers")
            return
        with self._failing(f"the checkpoint of step {self._step:,} is not kept, and the loop goes on"):
            self._write_rows()
            self._writer.save(self._step, state=None, checkpoint=self._taken, status="training")

    def _complete(self, step: int, row: dict[str, float], taken: dict[str, np.ndarray] | None) -> None:
        """End the row of a step: at a checkpoint, with what is missing of it."""
        contradiction = None
        if taken is not None and self._found is not None:
            try:
                row = self._judge.row(step, self._found.weights_in(taken), row)
            except ContradictionError as error:
                contradiction = error
        if row or taken is not None:
            self._rows.append((step, row))
        if self._writer is None:
            return
        now = time.monotonic()
        if now - self._written >= SECONDS_BETWEEN_ROWS:
            self._written = now
            try:
                self._write_rows()
            except DiskError as error:
                self._fail(error, "its rows are kept for later, and the loop goes on")
        for name, value in row.items():
            if not math.isfinite(value):
                self._diverge(step, f"the {name.replace('_', ' ')} is not a finite number")
                return
        if contradiction:
            self._fail(contradiction, "the loop goes on")

    def _end(self, status: str) -> None:
        assert self._writer is not None
        self._complete(self._step, self._row, self._taken)
        if not self._is_idle:
            with self._failing("the run stays as it was at its last checkpoint"):
                self._write_rows()
                self._writer.end(status)

    def _write_rows(self) -> None:
        assert self._writer is not None
        if self._rows:
            self._writer.append_rows(self._rows)
            self._rows.clear()

    @contextmanager
    def _failing(self, otherwise: str) -> Iterator[None]:
        """Where the block fails, raise that, or warn, as was asked for."""
        try:
            yield
        except DiskError as error:
            self._fail(error, otherwise)

    def _fail(self, error: GrokvizError, otherwise: str) -> None:
        if self._on_error == "raise":
            raise error
        warnings.warn(f"{error}; {otherwise}", GrokvizWarning, stacklevel=4)

    def _diverge(self, step: int, what: str) -> None:
        assert self._writer is not None
        self._is_idle = True
        self._write_rows()
        self._writer.end("diverged")
        warnings.warn(
            f"{self.directory} diverged: at step {step:,} {what}; nothing later is kept, the checkpoints before are",
            GrokvizWarning,
            stacklevel=4,
        )

    def _look_at(self, model: Any) -> None:
        """Find out how a model is read that is seen for the first time; at the first of all, begin the run."""
        module = unwrapped(model)
        if module is not self._module:
            found = find(module, n=self._task.task.n, names=self._names, logits=self._logits)
            config = config_of(self._task, found, tensors_of(module))
            if self._writer is None:
                self._begin(module, found, config)
            elif config != self._config:
                raise GrokvizError(
                    f"at step {self._step:,} the monitor of {self.directory} sees another network than before; one monitor "
                    "follows one"
                )
            if hooks := hooks_of(module):
                warnings.warn(
                    f"the module has hooks on {', '.join(hooks[:3])}: what is measured is the network without them",
                    GrokvizWarning,
                    stacklevel=3,
                )
            self._module, self._found = module, found
            self._watch_changes()
        self._model = model

    def _begin(self, module: nn.Module, found: Found, config: RunConfig) -> None:
        loop = origin_of(module, found, every=self._every, steps=self._steps, stated=self._stated, task=self._task)
        device = next(module.parameters()).device
        self._writer = self._open.enter_context(
            begun(self.directory, config, loop, device=device, step=self._step, resume=self._resume)
        )
        self._keeps_next = self._writer.is_empty
        self._config, self._found = config, found
        if not self._keeps_next:
            self._make_up_rows()

    def _make_up_rows(self) -> None:
        """Measure the row of a checkpoint that the killed loop had not completed."""
        run = self.run
        assert self._found is not None
        rows = run.history["epoch"].values if run.has_rows else ()
        for epoch in run.epochs:
            if epoch < self._step and epoch not in rows:
                row = self._judge.row(epoch, self._found.weights_in(run.weights(epoch)), {})
                self._rows.append((epoch, row))

    def _weights_now(self) -> dict[str, np.ndarray]:
        assert self._found is not None
        assert self._module is not None
        with on_its_own():
            return self._found.parameters(tensors_of(self._module))

    def _watch_changes(self) -> None:
        """Prepare to tell, at each step and at next to no cost, whether the weights have changed."""
        assert self._module is not None
        self._watched = [values for values in self._module.parameters() if values.requires_grad][-1:]
        plain = [values.detach() for values in self._watched if values.device.type == "cpu" and values.is_contiguous()]
        self._views = [values.numpy().reshape(-1) for values in plain if values.dtype in (torch.float32, torch.float64)]

    def _marks(self) -> tuple[float, ...]:
        """What an update changes, of the last parameter: torch's count of its changes, where it lies, and a number of it."""
        marks = [mark for values in self._watched for mark in (values._version, values.data_ptr())]
        return (*marks, *[view.item(0) for view in self._views])


def _number(name: str, value: Any) -> float:
    plain = plain_number(value.detach() if isinstance(value, Tensor) else value)
    if plain is None:
        raise GrokvizError(f"{name} is {shown(value)}, but must be one number")
    return float(plain)


def _is_first_process() -> bool:
    return not (
        torch.distributed.is_available() and torch.distributed.is_initialized() and torch.distributed.get_rank()
    )
