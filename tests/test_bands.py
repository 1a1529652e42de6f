from dataclasses import replace
from pathlib import Path

import pytest

import grokviz
from grokviz.config import RunConfig, TaskConfig, TrainingConfig
from grokviz.config.bands import outside_known_bands, what_grokking_takes
from grokviz.config.presets import PRESETS
from grokviz.errors import GrokvizWarning


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_lies_in_the_known_bands(name: str) -> None:
    assert outside_known_bands(PRESETS[name]) == ()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (RunConfig(task=TaskConfig(p=19)), "p is 19 (known: 23 or more)"),
        (RunConfig(task=TaskConfig(train_fraction=0.2)), "train_fraction is 0.2 (known: 0.25 or more)"),
        (RunConfig(training=TrainingConfig(weight_decay=11)), "weight_decay is 11 (known: 0.1 to 10)"),
        (RunConfig(training=TrainingConfig(learning_rate=0.02)), "learning_rate is 0.02 (known: 0.0003 to 0.01)"),
    ],
)
def test_what_lies_far_outside_is_said(config: RunConfig, said: str) -> None:
    assert outside_known_bands(config) == (said,)


def test_training_far_outside_warns_and_trains(tiny_config: RunConfig, tmp_path: Path) -> None:
    config = replace(tiny_config, training=replace(tiny_config.training, epochs=2))
    with pytest.warns(GrokvizWarning, match=r"^this may not grok: p is 7 \(known: 23 or more\)$"):
        assert grokviz.train(config, tmp_path / "run", progress=False).epochs[-1] == 2


def test_what_it_would_take_names_what_lies_outside_or_that_nothing_does(tiny_config: RunConfig) -> None:
    said = what_grokking_takes(tiny_config)
    assert said.startswith("Outside what is known to grok: p is 7 (known: 23 or more). With AdamW networks are known")
    assert said.endswith("; it had 40")
    said = what_grokking_takes(RunConfig())
    assert "p 97 (23 or more), train_fraction 0.3 (0.25 or more), weight_decay 1 (0.1 to 10), learning_rate" in said
    assert "so what it lacked is not known" in said
    other = TrainingConfig(learning_rate=0.05)
    assert "learning_rate is 0.05 (known: 0.0003 to 0.01)" in what_grokking_takes(RunConfig(training=other))
    unknown = RunConfig(task=TaskConfig(split="unknown", train_fraction=None, split_seed=None), training=None)
    assert "p 97 (23 or more); so what it lacked" in what_grokking_takes(unknown)
