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
    without = np.full(11, 1e-7)
    without[[2, 6]] = 0.5, 1e-4
    cosine = np.full(11, 0.001)
    cosine[[2, 6]] = 0.9, 0.4
    is_key = np.isin(frequency, (3, 7)).astype(np.int8)
    by_frequency = {
        "readout_power": readout,
        "embedding_power": embedding,
        "neurons_per_frequency": neurons,
        "excluded_loss_by_frequency": without,
        "logit_cosine": cosine,
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


def test_each_witness_is_beside_the_rule_and_disagreement_is_in_words(known: xr.Dataset) -> None:
    evidence = key_evidence(known)
    what = dict(zip(evidence["frequency"].values.tolist(), evidence["what"].values.tolist(), strict=True))
    assert (what[3], what[7]) == ("key", "key")
    assert what[6] == "harmonic: 2 times 3, in the embedding alone"
    assert what[10] == "passenger: in the embedding, and not read out"
    assert what[5] == "not key, but stands out by pure neurons"
    assert what[1] == ""
    assert evidence["witnesses"].sel(frequency=[3, 7, 6, 10, 5, 1]).values.tolist() == [5, 5, 1, 1, 1, 0]
    assert disagreements(evidence) == {10: what[10], 5: what[5]}
    assert as_texts(evidence, "loss_without")[2] == "+0.5 nats"


def test_a_key_that_a_witness_does_not_see_is_said_so(known: xr.Dataset) -> None:
    silent = known.copy(deep=True)
    silent["neurons_per_frequency"][0, 6] = 0
    evidence = key_evidence(silent)
    assert disagreements(evidence)[7] == "key, though not by pure neurons"
    title = grokviz.figures.key_evidence(silent).layout.title.text
    first = "5 is not key, but stands out by pure neurons"
    assert title.startswith(f"Witnesses differ: {first}; 7 is key, though not by pure neurons")
    assert "and of 1 more" in title


def test_a_loss_counts_by_how_many_times_as_high_it_is(known: xr.Dataset) -> None:
    # 1e-4 is a five-thousandth of 0.5, but a thousand times the train loss
    evidence = key_evidence(known)
    assert evidence["strength_loss_without"].sel(frequency=7).item() == pytest.approx(
        np.log(1e-4 / 1e-7) / np.log(0.5 / 1e-7)
    )


def test_what_was_not_measured_is_no_witness(known: xr.Dataset) -> None:
    evidence = key_evidence(known.drop_vars(["logit_cosine", "neurons_per_frequency"]))
    assert [name for name in WITNESSES if name in evidence] == ["readout", "embedding", "loss_without"]
    with pytest.raises(LackingError, match="evidence for key frequencies cannot be given"):
        key_evidence(known.drop_vars("readout_power"))
    with pytest.raises(GrokvizError, match="no checkpoint of epoch 3"):
        key_evidence(known, 3)


def test_a_grokked_run_has_the_same_key_frequencies_by_all_witnesses(quick_run: grokviz.Run) -> None:
    evidence = grokviz.key_evidence(quick_run)
    keys = evidence["frequency"].values[evidence["is_key"].values]
    assert tuple(keys) == grokviz.key_frequencies_of(quick_run)
    assert (evidence["witnesses"].values[evidence["is_key"].values] >= 4).all()
    at_start = grokviz.key_evidence(quick_run, "first")
    assert at_start.sizes == evidence.sizes


def test_the_table_holds_every_frequency(known: xr.Dataset) -> None:
    table = evidence_table(known)
    assert len(table.rows) == 11
    assert sum(row.is_key for row in table.rows) == 2
    assert any(row.cells[-1].text == "passenger: in the embedding, and not read out" for row in table.rows)
    assert evidence_table(known.drop_vars("readout_power")) is None
