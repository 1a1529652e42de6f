import json
import pickle
from copy import deepcopy

import numpy as np
import pytest

from grokviz.config import ModelConfig, RunConfig, TaskConfig, TrainingConfig
from grokviz.config.presets import PRESETS, preset
from grokviz.errors import GrokvizError
from grokviz.tasks.split import train_mask
from grokviz.tasks.task import task_of
from grokviz.training.engines.fused import why_not


@pytest.mark.parametrize(
    ("section", "field", "value", "says"),
    [
        (TaskConfig, "p", 1, "p is 1, but must be at least 3"),
        (TaskConfig, "p", 2, "at least 3"),
        (TaskConfig, "p", 7.5, "whole number"),
        (TaskConfig, "p", True, "whole number"),
        (TaskConfig, "p", "97", "whole number"),
        (TaskConfig, "operation", "adition", "did you mean addition?"),
        (TaskConfig, "train_fraction", 0.0, "between 0 and 1"),
        (TaskConfig, "train_fraction", 1.0, "between 0 and 1"),
        (TaskConfig, "train_fraction", float("nan"), "finite"),
        (TaskConfig, "train_fraction", 1e-6, "leaves 0 of 9409 pairs"),
        (TaskConfig, "split_seed", -1, "at least 0"),
        (ModelConfig, "d_model", 0, "at least 1"),
        (ModelConfig, "d_mlp", 0, "at least 1"),
        (ModelConfig, "initialisation", "xavier", "choose one of: notebook, nanda2023, transformer_lens"),
        (ModelConfig, "biases", "some", "biases is 'some', which is unknown; choose one of: none, mlp_in, mlp, all"),
        (ModelConfig, "positions", 4, "positions is 4, but must be at most 3: a, b and '='"),
        (
            TaskConfig,
            "split",
            "alphabet",
            "split is 'alphabet', which is unknown; choose one of: randperm, python_shuffle",
        ),
        (TaskConfig, "split", "unknown", "train_fraction is 0.3, but the split is unknown: let it be None"),
        (TaskConfig, "train_fraction", None, "train_fraction is None, but must be a finite number"),
        (ModelConfig, "output_vocabulary", "all", "choose one of: tokens, answers"),
        (ModelConfig, "seed", 1.5, "whole number"),
        (ModelConfig, "seed", 2**64, "63 bits"),
        (TrainingConfig, "epochs", 0, "at least 1"),
        (TrainingConfig, "learning_rate", 0.0, "above 0"),
        (TrainingConfig, "weight_decay", -1.0, "must not be negative"),
        (TrainingConfig, "betas", (0.9, 1.0), "[0, 1)"),
        (TrainingConfig, "betas", (0.9,), "two numbers"),
        (TrainingConfig, "test_every", 0, "at least 1"),
        (TrainingConfig, "checkpoint_every", 0, "at least 1"),
        (TrainingConfig, "geometric_checkpoints", -1, "at least 0"),
        (TrainingConfig, "warmup_epochs", -1, "at least 0"),
        (TrainingConfig, "stop_after", -1, "at least 0"),
        (TrainingConfig, "stop_accuracy", 1.5, "(0, 1]"),
        (TrainingConfig, "threads", 0, "at least 1"),
        (TrainingConfig, "device", "", "device of torch"),
    ],
)
def test_nonsense_is_refused_in_one_line_that_names_field_and_value(section, field, value, says) -> None:
    values = RunConfig().to_dict()
    name = {TaskConfig: "task", ModelConfig: "model", TrainingConfig: "training"}[section]
    values[name][field] = value
    with pytest.raises(GrokvizError) as error:
        RunConfig.from_dict(values)
    assert says in str(error.value)
    assert field in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_survives_json(name: str) -> None:
    config = preset(name)
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("copied", [lambda value: pickle.loads(pickle.dumps(value)), deepcopy])
def test_a_configuration_is_the_same_in_another_process(copied) -> None:
    config = preset("quick")
    blueprint = config.blueprint  # worked out, and kept beside what it says
    assert copied(config) == config
    assert "blueprint" not in vars(copied(config))
    for same in (copied(config).blueprint, copied(blueprint)):
        assert same.architecture is blueprint.architecture
        assert same.activation is blueprint.activation
        assert same.shapes == blueprint.shapes
    assert why_not(copied(config)) == why_not(config)


def test_a_section_must_be_of_its_own_class() -> None:
    with pytest.raises(GrokvizError, match=r"task is \{'p': 11\}, but must be a TaskConfig"):
        RunConfig(task={"p": 11})


def test_a_configuration_of_another_version_is_refused_by_the_names_that_differ() -> None:
    values = RunConfig().to_dict()
    values["task"]["modulus"] = values["task"].pop("p")
    with pytest.raises(GrokvizError, match="'task' lacks p"):
        RunConfig.from_dict(values)


def test_presets_are_those_of_the_literature() -> None:
    default, nanda, quick = PRESETS["default"], PRESETS["nanda2023"], PRESETS["quick"]
    assert (default.task.p, default.d_vocab, default.d_vocab_out, default.training.epochs) == (97, 98, 98, 30_000)
    assert (nanda.task.p, nanda.d_vocab, nanda.d_vocab_out, nanda.training.epochs) == (113, 114, 114, 40_000)
    assert (default.model.biases, nanda.model.biases) == ("mlp_in", "mlp")
    assert nanda.training.warmup_epochs == 10
    assert (quick.task.p, quick.task.train_fraction, quick.training.epochs) == (59, 0.5, 4_000)
    with pytest.raises(GrokvizError, match="choose one of: default, nanda2023, quick, s5"):
        preset("fast")


def test_pairs_are_in_row_major_order_with_their_sums_as_answers() -> None:
    pairs = task_of("addition", 5).pairs
    assert pairs[7].tolist() == [1, 2]
    np.testing.assert_array_equal(task_of("addition", 5).answers, pairs.sum(axis=1) % 5)


def test_the_split_is_seeded_and_has_the_promised_size() -> None:
    task = TaskConfig(p=113, split_seed=2)
    mask = train_mask(task)
    assert mask.sum().item() == int(0.3 * 113 * 113) == task.n_train
    assert (train_mask(task) == mask).all()
    assert (train_mask(TaskConfig(p=113, split_seed=3)) != mask).any()
