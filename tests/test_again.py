"""How a run is made again: the command that its report prints parses back to its configuration, whatever that is."""

import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grokviz
from grokviz.cli.arguments import TrainArguments
from grokviz.cli.commands import begun_with
from grokviz.cli.parsing import parsed
from grokviz.cli.table import COMMANDS
from grokviz.config import (
    EngineName,
    Initialisation,
    ModelConfig,
    OutputVocabulary,
    RunConfig,
    TaskConfig,
    TrainingConfig,
)
from grokviz.config.optimizers import OPTIMIZERS
from grokviz.errors import GrokvizError
from grokviz.models.activations import ACTIVATIONS
from grokviz.models.architecture import Biases, OperandTokens
from grokviz.models.architectures import ARCHITECTURES
from grokviz.report.words import command_again, python_again

DRAWN = st.builds(
    TaskConfig,
    operation=st.sampled_from(["addition", "subtraction", "multiplication", "x2_xy_y2", "builtins:pow"]),
    p=st.integers(13, 60),  # each operation has elements enough
    train_fraction=st.floats(0.2, 0.8),
    split_seed=st.integers(0, 2**63 - 1),
    split=st.sampled_from(["randperm", "python_shuffle", "numpy_permutation"]),
    labels=st.just("permuted"),  # others are those that follow
    labels_seed=st.none() | st.integers(0, 2**32 - 1),
)

GIVEN = st.builds(
    lambda p, pairs: TaskConfig(p=p).trained_on(sorted({pair % p**2 for pair in pairs})),
    p=st.integers(5, 60),
    pairs=st.lists(st.integers(0, 10**4), min_size=1, max_size=20),
)


def names(literal: object) -> st.SearchStrategy[str]:
    return st.sampled_from(get_args(literal))


def models(architecture: str) -> st.SearchStrategy[ModelConfig]:
    """All models of an architecture."""
    fields_of_all = {
        "d_model": st.integers(1, 300),
        "n_heads": st.integers(1, 8),
        "d_head": st.integers(1, 64),
        "d_mlp": st.integers(1, 10**6),
        "activation": st.sampled_from(list(ACTIVATIONS)),
        "operand_tokens": names(OperandTokens),
        "output_vocabulary": names(OutputVocabulary),
        "positions": st.sampled_from([2, 3]),
        "biases": names(Biases),
        "initialisation": names(Initialisation),
        "seed": st.none() | st.integers(0, 2**63 - 1),
    }
    allowed = {name: st.sampled_from(values) for name, values in ARCHITECTURES[architecture].allowed.items()}
    return st.builds(ModelConfig, architecture=st.just(architecture), **(fields_of_all | allowed))


MODELS = st.one_of(*map(models, ARCHITECTURES))

OF_GROUPS = st.sampled_from([TaskConfig(operation=name, train_fraction=0.55) for name in ("S3", "D5", "C4xC6", "Q8")])

RATES = st.floats(0, 1, exclude_max=True, allow_subnormal=False)
TRAININGS = st.builds(
    TrainingConfig,
    epochs=st.integers(1, 10**9),
    optimizer=st.sampled_from(list(OPTIMIZERS)),
    learning_rate=st.floats(1e-300, 1e300),
    betas=st.tuples(RATES, RATES),
    weight_decay=st.floats(0, 1e300),
    warmup_epochs=st.integers(0, 10**6),
    test_every=st.integers(1, 10**6),
    checkpoint_every=st.integers(1, 10**6),
    geometric_checkpoints=st.integers(0, 10_000),
    geometric_until=st.none() | st.integers(1, 10**9),
    stop_after=st.none() | st.integers(0, 10**6),
    stop_accuracy=st.floats(0.01, 1),
    engine=names(EngineName),
    device=st.sampled_from(["cpu", "cuda", "cuda:1", "mps"]),
    threads=st.none() | st.integers(1, 1024),
)


def test_the_strategies_have_every_field() -> None:
    for strategy, section in ((DRAWN, TaskConfig), (models("mlp"), ModelConfig), (TRAININGS, TrainingConfig)):
        assert set(strategy.wrapped_strategy.kwargs) == {field.name for field in fields(section)}


def parsed_back(words: list[str]) -> RunConfig:
    """The configuration of `grokviz run WORDS`."""
    name, *flags = words
    return parsed(COMMANDS[0], TrainArguments, flags, default=TrainArguments(begun_with(name, flags))).config


@given(task=DRAWN | GIVEN | OF_GROUPS, model=MODELS, training=TRAININGS)
@settings(deadline=None, max_examples=60)
def test_the_command_of_any_configuration_parses_back_to_it(
    task: TaskConfig, model: ModelConfig, training: TrainingConfig
) -> None:
    config = RunConfig(task=task, model=model, training=training)
    program, command, *words = shlex.split(command_again(config))
    assert (program, command) == ("grokviz", "run")
    assert parsed_back(words) == config


def test_a_command_names_only_what_differs_from_the_nearest_preset() -> None:
    betas = grokviz.preset("quick").with_training(betas=(0.9, 0.95))
    assert command_again(betas) == "grokviz run quick --betas 0.9 0.95"


def local_operation() -> object:
    return lambda a, b, p: (a + 2 * b) % p


@pytest.mark.slow
def test_what_no_command_can_say_is_said_in_python(tiny_config: RunConfig, in_tmp_path: Path) -> None:
    # given a run of an operation that no module has
    config = replace(tiny_config, task=replace(tiny_config.task, operation=local_operation()))
    run = grokviz.train(config, "mine", progress=False)
    assert command_again(run.config) == ""

    # then its report says how to do it in Python, and that does it
    page = grokviz.report.render_report(run, grokviz.measure(run, progress=False), progress=False)
    assert "<h2>Command</h2>" not in page
    words = python_again(run.directory)
    assert f"<h2>In Python</h2><pre>{words.replace(chr(39), '&#39;')}</pre>" in page
    again = eval(words, {"grokviz": grokviz})
    assert again.checkpoints == run.checkpoints


def test_a_split_in_one_word_that_is_none_is_refused() -> None:
    for word, said in (
        ("given:", "a split in one word is given:PAIRS:BITS"),
        ("given:x:y", "a split in one word"),
        ("given:25:", "is not one of 25 pairs"),
        ("given:16:AAAA", "of 16 pairs, but the task has 25"),
        ("given:25:AAAA", "is not one of 25 pairs"),
    ):
        with pytest.raises(GrokvizError, match=said):
            TaskConfig(p=5, split=word, train_fraction=None, split_seed=None)
