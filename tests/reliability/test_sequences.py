"""Whatever is done to a run, in whatever order, it is the run that was never interrupted: a machine of states tries it."""

import shutil
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import grokviz
from crashes import CrashError
from grokviz.config import ModelConfig, RunConfig, TaskConfig, TrainingConfig
from grokviz.errors import GrokvizError
from grokviz.store.writing import RunWriter

LONGEST = 60

CONFIG = RunConfig(
    task=TaskConfig(p=7, train_fraction=0.6),
    model=ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=32),
    training=TrainingConfig(
        epochs=20, checkpoint_every=3, geometric_checkpoints=0, test_every=1, threads=1, stop_accuracy=0.1
    ),
)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> grokviz.Run:
    """The longest run, with a checkpoint at every epoch."""
    config = CONFIG.with_training(epochs=LONGEST, checkpoint_every=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return grokviz.train(config, tmp_path_factory.mktemp("runs") / "uninterrupted", progress=False)


class RunLife(RuleBasedStateMachine):
    """A run that is trained, killed, stopped, resumed and extended; and what it must be."""

    reference: grokviz.Run

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.directory = self.folder / "run"
        self.losses = self.reference.history.load()
        self.weights = {epoch: self.reference.weights(epoch) for epoch in self.reference.epochs}
        self.planned = CONFIG.known_training.epochs
        self.stop_after: int | None = None
        warnings.simplefilter("ignore", grokviz.GrokvizWarning)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @property
    def run(self) -> grokviz.Run:
        return grokviz.open_run(self.directory, begun=False)

    @property
    def is_ended(self) -> bool:
        return self.run.status in ("finished", "stopped")

    @initialize(stop_after=st.sampled_from([None, 2, 8]))
    def begin(self, stop_after: int | None) -> None:
        """A run whose first training is killed at its first save."""
        self.stop_after = stop_after
        self.config = CONFIG.with_training(stop_after=stop_after)
        self._killed_after(0, lambda: grokviz.train(self.config, self.directory, progress=False))

    @rule(saves=st.integers(0, 4), before=st.booleans(), by_train=st.booleans())
    @precondition(lambda self: not self.is_ended)
    def go_on_until_killed(self, saves: int, before: bool, by_train: bool) -> None:
        """Gone on with, and killed just before or after it has saved so many times more."""
        self._killed_after(saves, lambda: self._go_on(by_train), before=before)

    @rule(epochs=st.integers(1, 12), by_train=st.booleans())
    @precondition(lambda self: not self.is_ended)
    def go_on_until_stopped(self, epochs: int, by_train: bool) -> None:
        """Gone on with, until what it is watched by ends it, with all saved."""
        start = self.run.manifest.last_epoch

        def watch(epoch: int, row: dict, model: object) -> None:
            if epoch >= start + epochs:
                raise CrashError

        try:
            self._go_on(by_train, on_evaluation=watch)
        except CrashError:
            assert self.run.status in ("interrupted", "finished", "stopped")

    @rule(by_train=st.booleans())
    def go_on_to_the_end(self, by_train: bool) -> None:
        """Trained to its end; one that has ended is returned by `train`, and refused by `resume`."""
        if self.is_ended and not by_train:
            self._refused(lambda: grokviz.resume(self.directory, progress=False), "to extend it")
        else:
            self._go_on(by_train)
            assert self.is_ended

    @rule(more=st.integers(1, 20), stop_after=st.sampled_from([None, 0, 5]))
    def extend(self, more: int, stop_after: int | None) -> None:
        """Extended beyond what it has trained."""
        trained = self.run.manifest.last_epoch
        epochs = trained + more
        if epochs > LONGEST:
            return
        rule_ended = self.run.status == "stopped"
        try:
            grokviz.resume(self.directory, epochs=epochs, stop_after=stop_after, progress=False)
        except GrokvizError as error:
            if stop_after is None or "would have been ended by its stopping rule" not in str(error):
                raise
            return
        self.planned = epochs
        self.stop_after = None if rule_ended and stop_after is None else self.run.config.known_training.stop_after
        if stop_after is not None:
            assert self.stop_after == stop_after
        assert self.is_ended

    @rule(epochs=st.integers(1, LONGEST))
    def ask_for_another_length(self, epochs: int) -> None:
        """`train` of another number of epochs is another configuration, and refused; of its own, with any history, it is not."""
        asked = self.config.with_training(epochs=epochs)
        if epochs == CONFIG.known_training.epochs or asked == self.run.config:
            return
        self._refused(
            lambda: grokviz.train(asked, self.directory, resume=True, progress=False), "epochs is|stop_after is"
        )

    @rule()
    def measure(self) -> None:
        """Measured in between, which is no business of the training's."""
        if self.run.epochs:
            grokviz.measure(self.directory, ["loss"], progress=False)

    @invariant()
    def is_the_run_that_was_never_interrupted(self) -> None:
        if not self.directory.exists():
            return
        run = self.run
        assert run.config.known_training.epochs == self.planned
        for epoch in run.epochs:
            there = run.weights(epoch)
            assert all(np.array_equal(there[name], values) for name, values in self.weights[epoch].items()), epoch
        if run.has_begun:
            history = run.history
            assert history.identical(self.losses.sel(epoch=history["epoch"]))
        if run.status == "finished":
            assert run.epochs[-1] == self.planned
        if run.status == "stopped":
            assert run.epochs[-1] < self.planned
        assert not grokviz.check_run(self.directory).damages

    def _go_on(self, by_train: bool, **options: object) -> None:
        if by_train:
            grokviz.train(self.config, self.directory, resume=True, progress=False, **options)
        else:
            grokviz.resume(self.directory, progress=False, **options)

    def _refused(self, action: object, said: str) -> None:
        before = {path: path.read_bytes() for path in self.directory.rglob("*") if path.is_file()}
        with pytest.raises(GrokvizError, match=said):
            action()
        assert before == {path: path.read_bytes() for path in self.directory.rglob("*") if path.is_file()}

    def _killed_after(self, saves: int, action: object, *, before: bool = False) -> None:
        count = 0

        def save_and_die(writer: RunWriter, *arguments: object, **rest: object) -> None:
            nonlocal count
            count += 1
            if count > saves and before:
                raise CrashError
            save(writer, *arguments, **rest)
            if count > saves:
                raise CrashError

        with pytest.MonkeyPatch.context() as patch:
            save = RunWriter.save
            patch.setattr(RunWriter, "save", save_and_die)
            with suppress(CrashError):
                action()


@pytest.mark.slow
def test_any_sequence_of_train_kill_resume_extend_and_stop_keeps_the_promise(
    uninterrupted: grokviz.Run, whole: bool, figures
) -> None:
    RunLife.reference = uninterrupted
    examples = 150 if whole else 8
    run_state_machine_as_test(
        RunLife, settings=settings(max_examples=examples, stateful_step_count=12, deadline=None, derandomize=not whole)
    )
    figures(f"{examples} random lives of a run (train, kill, stop, resume, extend, measure): 0 with other bits")
