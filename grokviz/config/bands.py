"""The known bands: configurations that have been seen to grok, and what lies far outside them.

Bands, and no laws: from the runs of this project (docs/performance.md, docs/notebook.md) and those published by Power et al.
2022, arXiv 2201.02177, and Nanda et al. 2023, arXiv 2301.05217, on one-layer transformers trained full-batch.
"""

from dataclasses import dataclass

from grokviz.config import RunConfig

LEAST_P = 23
LEAST_FRACTION = 0.25
LEAST_WEIGHT_DECAY, MOST_WEIGHT_DECAY = 0.1, 10.0
LEAST_LEARNING_RATE, MOST_LEARNING_RATE = 0.0003, 0.01
KNOWN_TIMES = (
    "after 760 to 2,300 epochs at p = 59 and half of the pairs, after 4,900 to 27,600 at p = 97 and 30 % of them"
)


@dataclass(frozen=True)
class Band:
    """In what band a field of configurations known to grok lies, and where it lies in one."""

    field: str
    value: float
    least: float = 0.0
    most: float = float("inf")

    @property
    def holds(self) -> bool:
        """Whether it lies in the band."""
        return self.least <= self.value <= self.most

    @property
    def known(self) -> str:
        """The band in words: '23 or more'."""
        if self.most == float("inf"):
            return f"{self.least:g} or more"
        return f"{self.least:g} to {self.most:g}"

    def __str__(self) -> str:
        return f"{self.field} is {self.value:g} (known: {self.known})"


def outside_known_bands(config: RunConfig) -> tuple[str, ...]:
    """What lies outside the bands in which networks are known to grok, each with the value that it has.

    >>> from dataclasses import replace
    >>> from grokviz.config import TaskConfig
    >>> outside_known_bands(RunConfig(task=TaskConfig(p=11, train_fraction=0.2)))
    ('p is 11 (known: 23 or more)', 'train_fraction is 0.2 (known: 0.25 or more)')
    """
    return tuple(str(band) for band in _bands(config) if not band.holds)


def what_grokking_takes(config: RunConfig) -> str:
    """What a run that did not grok may have lacked: what of it lies outside the known bands; or that nothing does."""
    if config.task.labels == "permuted":
        return "Its labels are permuted, so the train pairs say nothing of the others, and nothing can generalise"
    epochs = f"; it had {config.training.epochs:,}" if config.training else ""
    times = f"With AdamW networks are known to grok {KNOWN_TIMES}{epochs}"
    if outside := outside_known_bands(config):
        return f"Outside what is known to grok: {'; '.join(outside)}. {times}"
    inside = ", ".join(f"{band.field} {band.value:g} ({band.known})" for band in _bands(config))
    return f"All of it lies where networks are known to grok: {inside}; so what it lacked is not known. {times}"


def _bands(config: RunConfig) -> list[Band]:
    """Those of the fields whose value is known and for which there is a band."""
    task, training = config.task, config.training
    bands = []
    if task.p is not None:
        bands.append(Band("p", task.p, LEAST_P))
    if task.split != "unknown":
        bands.append(Band("train_fraction", task.known_fraction, LEAST_FRACTION))
    if training is not None:
        bands.append(Band("weight_decay", training.weight_decay, LEAST_WEIGHT_DECAY, MOST_WEIGHT_DECAY))
        if training.optimizer == "adamw":
            bands.append(Band("learning_rate", training.learning_rate, LEAST_LEARNING_RATE, MOST_LEARNING_RATE))
    return bands
