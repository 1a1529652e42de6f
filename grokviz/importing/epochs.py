"""What the epochs of a published file mean, in ours: epoch N are the weights before update N, so 0 are the initial ones.

A file of one network says its epoch, or nothing. A file of a whole run was written by a loop that keeps the network after an
update under the number of that update, the train loss of the weights before it, and the test loss of those before or after it.
What a loop did does not stand in its file: so the usual reading gives way where another is clearly nearer to what is measured.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grokviz.checks import plain_number
from grokviz.errors import GrokvizError, argument
from grokviz.importing.losses import StoredLosses, apart

CLEARLY = 10.0
"""How many times nearer another reading of the epochs must come to replace the usual one."""


@dataclass(frozen=True)
class Labels:
    """By how many updates what a file calls epoch N lies after the weights before update N."""

    networks: int = 0
    test_losses: int = 0

    def epoch_of(self, label: int) -> int:
        """The epoch of a network with this label."""
        return label + self.networks

    def label_of(self, epoch: int) -> int:
        """The label of the network of an epoch; that of the initial one is 0, too."""
        return max(epoch - self.networks, 0)


AS_OURS = Labels()
PROGRESS_MEASURES = Labels(networks=1)
"""Of the loop of Nanda et al. 2023."""


def labels_of(*, keeps_losses: bool, is_demo: bool) -> Labels:
    """What the epochs mean in a file that keeps train losses, as both loops of whole runs do, or not; and in that of
    TransformerLens' grokking demo, whose test losses are those after the update.
    """
    return Labels(networks=int(keeps_losses), test_losses=int(is_demo))


def unlabelled_epoch(path: Path, n_files: int, stated: Mapping[str, Any]) -> tuple[int, str]:
    """The epoch of a network whose file does not say it, and what is to be said of that.

    Raises:
        GrokvizError: it is one of several, and nothing tells them apart.
    """
    numbers = re.findall(r"\d+", path.stem)
    if n_files > 1 and numbers:
        return int(numbers[-1]), "read off the names of the files"
    if n_files > 1:
        raise GrokvizError(
            f"{path} does not say its epoch, nor does its name; give {argument('epochs')}, one for each file"
        )
    planned = plain_number(stated.get("num_epochs"))
    if isinstance(planned, int) and planned > 0:
        return planned, "not stated; taken to be the last of those that its configuration plans"
    return 0, "not stated; the network is put at epoch 0, which does not say that it is untrained"


def later_by_losses(stored: StoredLosses, measured: Mapping[int, float]) -> int:
    """By how many epochs the stored curve is to be read later: 0, unless -1 or 1 is clearly nearer to what was measured."""
    by_shift = {shift: apart(stored.later(shift), measured) for shift in (0, 1, -1)}
    best = min(by_shift, key=lambda shift: by_shift[shift])
    return best if by_shift[best] * CLEARLY < by_shift[0] < math.inf else 0
