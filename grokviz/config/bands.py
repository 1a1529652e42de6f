"""The known bands: configurations that have been seen to grok, and what lies far outside them.

Bands, and no laws: from the runs of this project (docs/performance.md, docs/notebook.md) and those published by Power et al.
2022, arXiv 2201.02177, and Nanda et al. 2023, arXiv 2301.05217, on one-layer transformers trained full-batch.
"""

from grokviz.config import RunConfig

LEAST_P = 23
LEAST_FRACTION = 0.25
LEAST_WEIGHT_DECAY, MOST_WEIGHT_DECAY = 0.1, 10.0
KNOWN_TIMES = "at p = 59 and half of the pairs 760 to 2,300 epochs, at p = 97 and 30 % of them 4,900 to 27,600"


def outside_known_bands(config: RunConfig) -> tuple[str, ...]:
    """What lies far outside the bands in which networks are known to grok, each with the value that it has.

    >>> from dataclasses import replace
    >>> from grokviz.config import TaskConfig
    >>> outside_known_bands(RunConfig(task=TaskConfig(p=11, train_fraction=0.2)))
    ('p is 11 (known: 23 or more)', 'train_fraction is 0.2 (known: 0.25 or more)')
    """
    task, training = config.task, config.known_training
    outside = []
    if task.p is not None and task.p < LEAST_P:
        outside.append(f"p is {task.p} (known: {LEAST_P} or more)")
    if task.known_fraction < LEAST_FRACTION:
        outside.append(f"train_fraction is {task.known_fraction:g} (known: {LEAST_FRACTION:g} or more)")
    if training.weight_decay > MOST_WEIGHT_DECAY:
        outside.append(f"weight_decay is {training.weight_decay:g} (known: {MOST_WEIGHT_DECAY:g} or less)")
    return tuple(outside)


def what_grokking_takes(config: RunConfig) -> str:
    """What a run that did not grok may have lacked, from the known bands, each with what it had."""
    task, training = config.task, config.training
    if task.labels == "permuted":
        return "Its labels are permuted, so the train pairs say nothing of the others, and nothing can generalise"
    fraction = "" if task.split == "unknown" else f" (here {task.known_fraction:g})"
    decay = f" (here {training.weight_decay:g})" if training else ""
    epochs = f" (here {training.epochs:,})" if training else ""
    return (
        f"Networks are known to grok from a train_fraction of {LEAST_FRACTION:g} up{fraction}, at a "
        f"weight_decay of {LEAST_WEIGHT_DECAY:g} to {MOST_WEIGHT_DECAY:g}{decay} and p from "
        f"{LEAST_P} up (here {task.task.law.said}), and after enough epochs{epochs}: with AdamW, {KNOWN_TIMES}"
    )
