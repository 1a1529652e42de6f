"""The group that a network computes, read off its answers alone: no operation, no list of names, no order of elements."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int
from torch import Tensor

from grokviz.checks import Epoch, shown
from grokviz.errors import GrokvizError
from grokviz.importing.tasks import answers_of
from grokviz.models.weights import Weights
from grokviz.store import Run, open_run
from grokviz.tasks.groups import MOST_ELEMENTS
from grokviz.tasks.reading import GroupReading, read_table

if TYPE_CHECKING:
    from grokviz.models.hooked import HookedRootModule


def read_group(
    network: "Run | str | Path | HookedRootModule | Int[np.ndarray, 'a b'] | Int[Tensor, 'a b']",
    *,
    epoch: Epoch = "last",
) -> GroupReading:
    """The group whose composition table a network answers, and which element of it each token is.

    The network is a run at an `epoch`, a hooked model, or the table of answers itself, tokens by row a and column b. Its answers
    decide, right or wrong; those that the others contradict are outvoted and counted. A group that has a name is told by the
    orders and class sizes of its elements and by an isomorphism, which gives elements their names, up to an automorphism. A table
    that is of no group but of one seen through coordinates, s = phi(a) psi(b), as subtraction is, is read as that.

    >>> import grokviz
    >>> subtraction = grokviz.TaskConfig(operation="subtraction", p=7).task.answers.reshape(7, 7)
    >>> reading = read_group(subtraction)
    >>> reading.group.name, reading.is_direct, reading.n_wrong
    ('C7', False, 0)

    Raises:
        GrokvizError: its answers are the table of no group, as those of a network that has only memorised; the message says why.
    """
    answers = _answers(network, epoch)
    n = len(answers)
    if not 2 <= n <= MOST_ELEMENTS or answers.shape != (n, n):
        raise GrokvizError(
            f"answers have the shape {answers.shape}, but must be n x n for 2 to {MOST_ELEMENTS:,} elements"
        )
    if not np.issubdtype(answers.dtype, np.integer) or answers.min() < 0 or answers.max() >= n:
        raise GrokvizError(
            f"answers hold others than the tokens 0 to {n - 1}, as whole numbers; of logits take the argmax"
        )
    return read_table(answers.astype(np.int64))


def _answers(network: Any, epoch: Epoch) -> np.ndarray:
    """The table of answers of what is given."""
    if isinstance(network, np.ndarray | Tensor):
        return np.asarray(network.detach().cpu() if isinstance(network, Tensor) else network)
    if isinstance(network, Run | str | PathLike):
        run = open_run(network)
        return _table(Weights.from_arrays(run.config.blueprint, run.weights(run.epoch(epoch))), run.config.task.task.n)
    from grokviz.models.hooked import HookedRootModule, weights_in  # here, for runs are read without it

    if not isinstance(network, HookedRootModule):
        raise GrokvizError(
            f"read_group needs a run, a hooked model, or a table of answers, but got {shown(network)}; such as: "
            "read_group(run.model(4000))"
        )
    classes = dict(network.named_parameters()).get("unembed.W_U")
    weights = weights_in(network, 0 if classes is None else classes.shape[1])
    return _table(weights.detached(), weights.blueprint.n)


def _table(weights: Weights, n: int) -> Int[np.ndarray, "a b"]:
    return answers_of(weights, n).reshape(n, n).numpy()
