"""The split that a source states, held against the losses of its pairs while it is measured."""

import warnings
from threading import Lock

from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.analysis.taking.sources import Source
from grokviz.errors import GrokvizWarning
from grokviz.importing.split_check import SplitCheck, check_split, contradiction_in_words, evenly, most_telling
from grokviz.models.loss import correct, cross_entropies
from grokviz.tasks.given_split import SPLIT_UNKNOWN

NETWORKS = 9
"""Networks, evenly chosen, whose losses are asked."""


class SplitChecker:
    """Gathers what the networks of a source say of its split. A class, because the snapshots come one by one."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._why_not = _why_not(source)
        self._epochs = [] if self._why_not else evenly(source.identities, NETWORKS)
        self._checks: list[SplitCheck] = []
        self._lock = Lock()

    def see(self, snapshot: Snapshot) -> None:
        """Ask the network of `snapshot`, if it is one of those that are asked."""
        if snapshot.epoch in self._epochs:
            losses = cross_entropies(snapshot.logits, snapshot.answers)
            check = check_split(self._source.task, losses, correct(snapshot.logits, snapshot.answers))
            with self._lock:
                self._checks.append(check)

    def in_words(self) -> str:
        """What came of it, for the measurements to keep."""
        return self._why_not or (
            str(most_telling(self._checks)) if self._checks else "could not be tested: nothing was measured"
        )

    def warn(self) -> None:
        """Warn where the losses contradict the split."""
        if self._checks and (check := most_telling(self._checks)).verdict == "contradicted":
            said = contradiction_in_words(self._source.name, self._source.task, check)
            warnings.warn(said, GrokvizWarning, stacklevel=5)


def _why_not(source: Source) -> str:
    """Why the split is not tested; '' where it is."""
    if source.split_known_by:
        return source.split_known_by
    if source.task.split == "unknown":
        return SPLIT_UNKNOWN
    return (
        "not tested: under an intervention, losses are not those that the network was trained to"
        if source.hooks
        else ""
    )
