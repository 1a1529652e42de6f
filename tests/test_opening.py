"""The five sentences with which a page begins: which they are by what the run is, and every number in them that of the
measurements.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import grokviz
from grokviz.analysis.reading.causes import unseen_split, with_causes
from grokviz.analysis.reading.phases import phases_of
from grokviz.config import RunConfig
from grokviz.outcomes import Delay
from grokviz.report.opening import opening
from grokviz.studies.siblings import Siblings, siblings_of
from small_studies import TINY_FILE


@pytest.fixture(scope="module")
def grokked(quick_run: grokviz.Run) -> xr.Dataset:
    """The measurements of a run that grokked and held it, with what it needs."""
    return with_causes(quick_run.measurements, quick_run.interventions)


def said_of(measurements: xr.Dataset, siblings: Siblings | None = None, config: RunConfig | None = None) -> list[str]:
    config = config or grokviz.preset("quick")
    return [said.text for said in opening(config, measurements, phases_of(measurements), siblings)]


def test_of_a_run_that_grokked_every_number_is_that_of_the_measurements(grokked: xr.Dataset) -> None:
    happened, when, how, needs, lasted = said_of(grokked)
    phases, split = phases_of(grokked), unseen_split(grokked["split"].values.tolist())
    last = grokked.isel(epoch=-1)
    accuracy = grokked["accuracy"].sel(split=split)
    loss, train = float(last["loss"].sel(split=split)), float(last["accuracy"].sel(split="train"))
    assert happened == (
        f"It grokked: at epoch {int(last['epoch']):,} it answers {float(accuracy[-1]):.1%} of unseen pairs "
        f"right, with a loss of {loss:.2g} nats, and {train:.1%} of those it was trained on; "
        f"chance is {1 / 59:.1%}, and it began with {float(accuracy[0]):.1%}."
    )
    assert f"99% of train pairs {phases.memorised}" in when
    assert f"95% of unseen pairs {phases.grokked_unmirrored}" in when
    low, high = Delay.between(phases.memorised, phases.grokked_unmirrored).epochs
    assert f"{low:,} to {high:,} epochs after memorising" in when
    keys = grokviz.key_frequencies_of(grokked)
    assert all(str(key) in how for key in keys)
    assert f"distance irrelevance is {float(last['distance_irrelevance']):.2f}" in how
    assert f"symmetricity {float(last['gradient_symmetricity']):.2f}" in how
    losses = last["removed_embedding_loss"].sel(frequency=list(keys)).values
    highs = last["removed_embedding_loss_control_high"].sel(frequency=list(keys)).values
    needed = losses > highs
    assert needed.any()
    assert f"{losses[needed].min():.2g} to {losses[needed].max():.2g}" in needs
    assert (
        f"({float(last['loss'].sel(split=split)):.2g} as it is, without another instead at most "
        f"{highs[needed].max():.2g}, in 95 %)" in needs
    )
    kept = last["kept_accuracy"].sel(kept=", ".join(map(str, keys))).item()
    assert f"alone in W_E leave {kept:.1%} right" in needs
    assert f"reached 95% {phases.grokked}, and held it in every evaluation since, to epoch 4,000" in lasted
    assert lasted.endswith("It is one run: how those of other seeds end is not known.")


def test_a_single_network_has_no_course_and_says_so(grokked: xr.Dataset) -> None:
    names = [name for name in grokked.data_vars if str(name).startswith("history_")]
    one = grokked.drop_vars([*names, "history_epoch"]).isel(epoch=[-1])
    happened, when, how, needs, lasted = said_of(one)
    assert happened.startswith("This is one network: it answers ")
    assert "began" not in happened
    assert when == "When it learned that cannot be told: there is one checkpoint."
    assert how.startswith("It reads its answer from the key frequencies ")
    assert "It needs the frequencies " in needs
    assert lasted == "It is one network: how those of other seeds end is not known."


def changed(measurements: xr.Dataset, test_accuracy: np.ndarray) -> xr.Dataset:
    """Measurements of a run with another course of its test accuracy."""
    splits = [each for each in measurements["split"].values.tolist() if each.startswith("test")]
    there = np.isin(measurements["history_epoch"].values, measurements["epoch"].values)
    accuracy = measurements["accuracy"].copy()
    accuracy.loc[{"split": splits}] = test_accuracy[there][:, None]
    return measurements.assign(
        accuracy=accuracy, history_test_accuracy=("history_epoch", test_accuracy.astype(np.float64))
    )


def test_what_was_lost_again_or_came_at_once_or_never_is_said_first(grokked: xr.Dataset) -> None:
    epochs = grokked["history_epoch"].values
    lost = np.where((epochs > 2000) & (epochs < 3000), 1.0, 0.02)
    happened, _, _, _, lasted = said_of(changed(grokked, lost))
    assert happened.startswith("It grokked, and lost it again: at epoch 4,000 it answers 2.0% of unseen pairs")
    assert "is below it again since epoch 3,000" in lasted
    unstable = np.where(epochs > 2000, 1.0, 0.02)
    unstable[epochs == 3000] = 0.5
    happened, _, _, _, lasted = said_of(changed(grokked, unstable))
    assert happened.startswith("It grokked, and has fallen back since: ")
    assert "was below it again in 1 evaluations since" in lasted
    happened, when, *_ = said_of(changed(grokked, np.where(epochs > 20, 1.0, 0.02)))
    assert happened.startswith("It learned the rule while it memorised, without the delay: ")
    never = np.where(epochs > 2000, 0.5, 0.02)
    happened, when, _, _, lasted = said_of(changed(grokked, never))
    assert happened.startswith("It memorised, and has not grokked: ")
    assert "has not held 95% of unseen pairs; the most is 50.0%, at epoch" in when
    assert lasted.startswith("All of it lies where networks are known to grok: p 59 (23 or more), ")
    assert lasted.endswith(". It is one run: how those of other seeds end is not known.")


def test_where_no_control_of_its_size_exists_that_is_said_and_no_more(grokked: xr.Dataset) -> None:
    first, *others = grokviz.key_frequencies_of(grokked)
    high = grokked["removed_embedding_loss_control_high"].copy()
    high.loc[{"frequency": first}] = np.nan
    needs = said_of(grokked.assign(removed_embedding_loss_control_high=high))[3]
    assert f"; of {first} it cannot be told, for no other frequency is of that size; " in needs
    assert f"It needs the frequencies {', '.join(map(str, others[:-1]))} and {others[-1]}: " in needs


def test_without_keys_that_is_said_and_nothing_is_made_up(tiny_run: grokviz.Run) -> None:
    sentences = said_of(tiny_run.measurements, config=tiny_run.config)
    assert len(sentences) == 5
    assert sentences[0].startswith("It has neither memorised nor grokked: ")
    assert sentences[2].startswith("How it computes cannot be told: ")
    assert sentences[3] == "What it needs was not asked: there is nothing that it reads its answer from."
    assert sentences[4].startswith("Outside what is known to grok: p is 7 (known: 23 or more). With AdamW ")
    assert not re.search(r"\bnan\b", " ".join(sentences))


def test_what_has_not_been_tried_is_said_with_the_way_on(quick_run: grokviz.Run) -> None:
    needs = said_of(quick_run.measurements)[3]
    assert needs.startswith("What it needs has not been tried: ")
    assert "grokviz ablate" in needs


@pytest.mark.slow
def test_a_run_of_a_study_knows_those_that_differ_in_seeds_alone(tmp_path: Path, tiny_run: grokviz.Run) -> None:
    file, directory = tmp_path / "tiny.toml", tmp_path / "study"
    file.write_text(TINY_FILE)
    grokviz.run_study(file, directory, workers=1, progress=False)
    study = grokviz.open_study(directory)
    cell = study.cells[0]
    siblings = siblings_of(study.run(cell.id))
    assert siblings.study == study.name
    assert siblings.count == 2  # of four, two have its weight decay
    lasted = said_of(study.run(cell.id).measurements, siblings)[-1]
    assert f". Of the 2 runs of the study {siblings.study} that differ in seeds alone: 2 " in lasted
    assert siblings_of(tiny_run) is None
    alone = grokviz.open_run(shutil.copytree(tiny_run.directory, directory / "runs" / "other"))
    assert siblings_of(alone) is None
