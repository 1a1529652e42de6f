"""The configurations that have a name."""

from dataclasses import replace

from grokviz.checks import choose, shown
from grokviz.config import ModelConfig, Operation, RunConfig, TaskConfig, TrainingConfig, has_modulus
from grokviz.errors import GrokvizError

DEFAULT = RunConfig()

PRESETS: dict[str, RunConfig] = {
    "default": DEFAULT,
    "nanda2023": replace(
        DEFAULT,
        task=TaskConfig(p=113),
        model=ModelConfig(biases="mlp"),
        training=TrainingConfig(epochs=40_000, warmup_epochs=10),
    ),
    "quick": replace(DEFAULT, task=TaskConfig(p=59, train_fraction=0.5), training=TrainingConfig(epochs=4_000)),
    "s5": replace(
        DEFAULT,
        task=TaskConfig(operation="S5", train_fraction=0.6),
        model=ModelConfig(architecture="mlp", d_model=256, d_mlp=128),
        training=TrainingConfig(epochs=20_000),
    ),
}


def preset(name: str, *, operation: Operation | None = None, architecture: str | None = None) -> RunConfig:
    """The preset called `name`: `default`, `nanda2023`, `quick` (groks within minutes) or `s5`.

    `default` is the run of the notebook, with its own split and initial weights; docs/notebook.md lays its losses beside the
    printed ones. `nanda2023` is the network and training of the code released with the paper: both MLP biases trained, 114
    output columns, 10 epochs of warm-up. It departs in three points: its split comes from torch's generator, not from
    Python's; its weights are seeded, which those of the released code are not; and it takes the paper's 40,000 epochs.

    `s5` is the MLP of two embeddings on the group S5, in the sizes of Chughtai, Chan & Nanda 2023; their 250,000 epochs on 40 %
    of all pairs are cut to 20,000 on 60 %, in which it groks, too.

    With an `operation` it is of that one; of a group, which has no modulus, without p. With another `architecture`, it is a
    network of that, as it is by itself.

    >>> preset("quick").task.p
    59
    >>> preset("quick", operation="S4").task.split_in_words
    '288 of 576 pairs trained on'
    >>> preset("fast")
    Traceback (most recent call last):
    grokviz.errors.GrokvizError: preset 'fast' is unknown; choose one of: default, nanda2023, quick, s5

    Raises:
        GrokvizError: there is none; the message lists those there are.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise GrokvizError(f"preset {shown(name)} is unknown; {choose(name, PRESETS)}")
    config = PRESETS[name]
    if architecture not in (None, config.model.architecture):
        config = replace(config, model=ModelConfig(architecture=architecture, seed=config.model.seed))
    if operation is None:
        return config
    p = config.task.p if has_modulus(operation) else None
    return replace(config, task=replace(config.task, operation=operation, p=p))
