"""The witnesses of key frequencies: what each says, and how their disagreement is told."""

import numpy as np
import pytest
import xarray as xr

import grokviz
from grokviz.analysis.reading.evidence import WITNESSES, as_texts, disagreements, key_evidence
from grokviz.errors import GrokvizError, LackingError
from grokviz.report.evidence import evidence_table


@pytest.fixture
def known() -> xr.Dataset:
    """Measurements of p = 23, put together: keys 3 and 7; 6 is twice 3 in the embedding; 10 a passenger; 5 has neurons alone."""
    frequency = np.arange(1, 12)
    readout, embedding, neurons = np.full(11, 0.001), np.full(11, 0.002), np.zeros(11)
    readout[[2, 6]] = 0.6, 0.3
    embedding[[2, 6, 5, 9]] = 0.4, 0.4, 0.1, 0.08
    neurons[[2, 6, 4]] = 90, 60, 30
    removed, high = np.full(11, np.nan), np.full(11, np.nan)
    removed[[2, 6, 5, 9]] = 0.5, 1e-4, 3e-5, 1.5e-6
    high[[2, 6, 5, 9]] = 2e-6
    is_key = np.isin(frequency, (3, 7)).astype(np.int8)
    by_frequency = {
        "readout_power": readout,
        "embedding_power": embedding,
        "neurons_per_frequency": neurons,
        "removed_embedding_loss": removed,
        "removed_embedding_loss_control_high": high,
    }
    return xr.Dataset(
        {
            **{name: (("epoch", "frequency"), values[None]) for name, values in by_frequency.items()},
            "loss": (("epoch", "split"), [[1e-7, 1e-6, 1e-6]]),
            "is_key_frequency": ("frequency", is_key),
            "harmonic_of_key": ("frequency", np.zeros(11, np.int32)),
            "harmonic_multiple": ("frequency", np.zeros(11, np.int32)),
            "readout_share_of_largest": ("frequency", readout / readout.max()),
            "n_answers": 23,
            "p": 23,
            "config": '{"task": {"operation": "addition"}}',
        },
        coords={"epoch": [100], "frequency": frequency, "split": ["train", "test", "all"]},
    )


def test_each_witness_is_beside_the_rule_and_what_a_frequency_is_follows(known: xr.Dataset) -> None:
    evidence = key_evidence(known)
    what = dict(zip(evidence["frequency"].values.tolist(), evidence["what"].values.tolist(), strict=True))
    assert (what[3], what[7]) == ("key", "key")
    assert what[6] == "used harmonic: 2 times 3"
    assert what[10] == "passenger: in the embedding, and not read out; nothing is lost without it"
    assert what[5] == "not key, but stands out by pure neurons"
    assert what[1] == ""
    assert evidence["witnesses"].sel(frequency=[3, 7, 6, 10, 5, 1]).values.tolist() == [4, 4, 2, 1, 1, 0]
    assert evidence["asked"].sel(frequency=[3, 6, 10, 5, 1]).values.tolist() == [4, 4, 4, 3, 3]
    assert disagreements(evidence) == {10: what[10], 5: what[5]}
    assert as_texts(evidence, "removed_embedding")[2] == "+0.5 nats"
    assert as_texts(evidence, "removed_embedding")[0] == ""


def test_a_key_without_which_nothing_is_lost_is_no_key_by_all_witnesses(known: xr.Dataset) -> None:
    unneeded = known.copy(deep=True)
    unneeded["removed_embedding_loss"][0, 6] = 1.9e-6
    assert disagreements(key_evidence(unneeded))[7] == "read out, but no more is lost without it than without others"


def test_a_removal_without_a_control_of_its_size_says_nothing(known: xr.Dataset) -> None:
    alone = known.copy(deep=True)
    alone["removed_embedding_loss_control_high"][0, 6] = np.nan
    evidence = key_evidence(alone)
    assert np.isnan(evidence["removed_embedding"].sel(frequency=7))
    assert evidence["what"].sel(frequency=7).item() == "key"  # and not: no more is lost without it
    assert evidence["asked"].sel(frequency=7) == evidence["asked"].sel(frequency=3) - 1


def test_without_removals_it_is_said_that_a_harmonic_was_not_tried(known: xr.Dataset) -> None:
    evidence = key_evidence(known.drop_vars(["removed_embedding_loss", "removed_embedding_loss_control_high"]))
    what = dict(zip(evidence["frequency"].values.tolist(), evidence["what"].values.tolist(), strict=True))
    assert (what[3], what[6]) == ("key", "harmonic: 2 times 3; not tried without it")
    assert what[10] == "passenger: in the embedding, and not read out"


def test_a_key_that_a_witness_does_not_see_is_said_so(known: xr.Dataset) -> None:
    silent = known.copy(deep=True)
    silent["neurons_per_frequency"][0, 6] = 0
    evidence = key_evidence(silent)
    assert disagreements(evidence)[7] == "key, though not by pure neurons"
    title = grokviz.figures.key_evidence(silent).layout.title.text
    first = "5 is not key, but stands out by pure neurons"
    assert title.startswith(f"Witnesses differ: {first}; 7 is key, though not by pure neurons")
    assert "and of 1 more" in title


def test_strengths_are_linear_and_a_loss_below_rounding_is_no_evidence(known: xr.Dataset) -> None:
    evidence = key_evidence(known)
    assert evidence["strength_removed_embedding"].sel(frequency=7).item() == pytest.approx(1e-4 / 0.5, rel=0.02)
    faint = known.copy(deep=True)
    faint["removed_embedding_loss"][0, 6] = 1e-6 + 5e-10
    faint["removed_embedding_loss_control_high"][0, 6] = 1e-6
    assert key_evidence(faint)["witnesses"].sel(frequency=7).item() == 3


def test_what_was_not_measured_is_no_witness(known: xr.Dataset) -> None:
    evidence = key_evidence(known.drop_vars(["removed_embedding_loss", "neurons_per_frequency"]))
    assert [name for name in WITNESSES if name in evidence] == ["readout", "embedding"]
    with pytest.raises(LackingError, match="evidence for key frequencies cannot be given"):
        key_evidence(known.drop_vars("readout_power"))
    with pytest.raises(GrokvizError, match="no checkpoint of epoch 3"):
        key_evidence(known, 3)


def test_a_grokked_run_has_the_same_key_frequencies_by_all_witnesses(quick_run: grokviz.Run) -> None:
    evidence = grokviz.key_evidence(quick_run)
    keys = evidence["frequency"].values[evidence["is_key"].values]
    assert tuple(keys) == grokviz.key_frequencies_of(quick_run)
    assert (evidence["witnesses"].values[evidence["is_key"].values] >= 4).all()
    assert evidence["what"].values[evidence["is_key"].values].tolist() == ["key"] * len(keys)
    at_start = grokviz.key_evidence(quick_run, "first")
    assert at_start.sizes == evidence.sizes


def test_the_table_holds_every_frequency(known: xr.Dataset) -> None:
    table = evidence_table(known)
    assert len(table.rows) == 11
    assert sum(row.is_key for row in table.rows) == 2
    assert any(row.cells[-1].text.startswith("passenger: in the embedding") for row in table.rows)
    assert evidence_table(known.drop_vars("readout_power")) is None
