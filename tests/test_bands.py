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
        (RunConfig(training=TrainingConfig(weight_decay=11)), "weight_decay is 11 (known: 10 or less)"),
    ],
)
def test_what_lies_far_outside_is_said(config: RunConfig, said: str) -> None:
    assert outside_known_bands(config) == (said,)


def test_training_far_outside_warns_and_trains(tiny_config: RunConfig, tmp_path: Path) -> None:
    config = replace(tiny_config, training=replace(tiny_config.training, epochs=2))
    with pytest.warns(GrokvizWarning, match=r"^this may not grok: p is 7 \(known: 23 or more\)$"):
        assert grokviz.train(config, tmp_path / "run", progress=False).epochs[-1] == 2


def test_what_it_would_take_names_what_the_run_had(tiny_config: RunConfig) -> None:
    said = what_grokking_takes(tiny_config)
    assert "train_fraction of 0.25 up (here 0.6)" in said
    assert "weight_decay of 0.1 to 10 (here 1)" in said
    assert "(here 40)" in said
