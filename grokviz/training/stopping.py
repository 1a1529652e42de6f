"""When training stops."""

from grokviz.config import HELD_EVALUATIONS, TrainingConfig


class StoppingRule:
    """The last epoch: the configured one, or an earlier one once the test accuracy has held long enough.

    A class, because it counts the evaluations that held.
    """

    def __init__(self, training: TrainingConfig) -> None:
        self._training = training
        self._held = 0
        self.last = training.epochs

    def see(self, epoch: int, test_accuracy: float) -> None:
        """Take epoch's test accuracy into account."""
        training = self._training
        if training.stop_after is None or epoch % training.test_every:
            return
        self._held = self._held + 1 if test_accuracy >= training.stop_accuracy else 0
        if self._held == HELD_EVALUATIONS:
            reached = epoch - (HELD_EVALUATIONS - 1) * training.test_every
            self.last = min(self.last, max(epoch, reached + training.stop_after))
