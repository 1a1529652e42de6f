"""Who follows a training while it runs: whoever looks at its progress, and a function of the user's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grokviz.checks import function
from grokviz.training.learner import Learner

if TYPE_CHECKING:
    from grokviz.models.hooked import HookedRootModule

OnEvaluation = Callable[[int, Mapping[str, float], "HookedRootModule"], object]
"""Called after every evaluation of the test set with the epoch, its row of the history, and the network as it is then: a
hooked model of its own, which may be kept or changed.
"""


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Who follows a training."""

    progress: bool = True
    """Whether the progress is shown."""
    on_evaluation: OnEvaluation | None = None

    def __post_init__(self) -> None:
        if self.on_evaluation is not None:
            function("on_evaluation", self.on_evaluation, called="on_evaluation(epoch, row, model)")

    def hears(self, epoch: int, row: Mapping[str, float], learner: Learner) -> BaseException | None:
        """Tell of an evaluation; returns what the function raised, for the training to be saved before that ends it."""
        if self.on_evaluation is None:
            return None
        from grokviz.models.hooked import model_with_weights  # here, for nobody else waits for TransformerLens

        try:
            self.on_evaluation(epoch, dict(row), model_with_weights(learner.config.blueprint, learner.weights()))
        except BaseException as error:
            return error
        return None
