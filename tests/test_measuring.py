import json
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

import grokviz
from grokviz.analysis.taking import gathering
from grokviz.analysis.taking.columns import Column
from grokviz.analysis.taking.keys import Keys
from grokviz.analysis.taking.measures import unseen
from grokviz.analysis.taking.measures.performance import loss
from grokviz.analysis.taking.plan import Unit, units_of
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.analysis.taking.sources import Source
from grokviz.analysis.taking.specs import specs_of
from grokviz.analysis.taking.work import AHEAD, on_threads
from grokviz.errors import GrokvizError, LackingError
from grokviz.measured import AXES_OF_MEASURES, BLOCK, LABELS, axes_on
from grokviz.tasks.blocks import cyclic_blocks


@pytest.fixture
def copy(tiny_run: grokviz.Run, tmp_path: Path) -> grokviz.Run:
    """A copy of the tiny run that may be measured again."""
    return grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path / "copy"))


@pytest.fixture
def snapshots_taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs of which measuring has taken a snapshot."""
    taken: list[int] = []
    real = Source.snapshot

    def counting(source: Source, epoch: int) -> Snapshot:
        taken.append(epoch)
        return real(source, epoch)

    monkeypatch.setattr(Source, "snapshot", counting)
    return taken


def largest_weight(snapshot: Snapshot) -> Float[Tensor, "head corner"]:
    """A user's own measure, with an axis that grokviz does not know.

    Unit: furlongs
    """
    return snapshot.weights.W_Q.abs().amax(dim=2)[:, :3]


def test_all_measures_at_all_checkpoints_stand_in_one_dataset_with_named_axes(tiny_run: grokviz.Run) -> None:
    data = tiny_run.measurements
    assert tuple(data["epoch"].values) == tiny_run.epochs
    absent = json.loads(data.attrs["absent"])
    of_other_groups = {spec.name for spec in specs_of(grokviz.MEASURES) if "classes" in spec.needs}
    assert all("its blocks are frequencies" in absent.pop(name) for name in of_other_groups)
    of_keys = {"restricted_loss", "excluded_loss", "fourier_interference", *(m.__name__ for m in unseen.MEASURES)}
    assert set(absent) == {"key_frequencies", *of_keys}
    for spec in specs_of(grokviz.MEASURES):
        if spec.name in of_other_groups:
            assert spec.name not in data
        elif spec.name in absent:
            assert "key_frequencies" in spec.needs
            assert "no circuit has formed" in absent[spec.name]
            assert spec.name not in data
        else:
            assert data[spec.name].dims == ("epoch", *axes_on(tiny_run.config.task.task, spec.axes))
    assert data["loss"].sel(split="test").attrs["unit"] == "nats"
    assert data["loss"].attrs["description"].startswith("Cross-entropy")
    assert data["frequency"].values.tolist() == [1, 2, 3]
    assert data["component"].values.tolist() == ["constant", "cos 1", "sin 1", "cos 2", "sin 2", "cos 3", "sin 3"]
    assert (data["p"].item(), data["n_answers"].item()) == (7, 7)
    assert grokviz.key_frequencies_of(data) == ()
    assert "10 times the median" in data["key_frequency_rule"].item()
    np.testing.assert_array_equal(data["history_train_loss"].values, tiny_run.history["train_loss"].values)


@pytest.mark.slow
def test_what_measure_returns_is_what_it_keeps(copy: grokviz.Run) -> None:
    returned = grokviz.measure(copy)
    kept = copy.measurements
    assert set(returned) == set(kept)
    for name in returned.data_vars:
        np.testing.assert_array_equal(returned[name].values, kept[name].values)


@pytest.mark.slow
def test_a_second_call_computes_nothing_again(copy: grokviz.Run, snapshots_taken: list[int]) -> None:
    grokviz.measure(copy)
    assert snapshots_taken == [40]  # for the key frequencies


@pytest.mark.slow
def test_only_a_new_measure_is_computed_and_the_others_stay(copy: grokviz.Run, snapshots_taken: list[int]) -> None:
    before = copy.measurements
    data = grokviz.measure(copy, measures=(*grokviz.MEASURES, largest_weight))
    assert len(snapshots_taken) == len(copy.epochs)
    assert data["largest_weight"].dims == ("epoch", "head", "corner")
    assert data["largest_weight"].attrs["unit"] == "furlongs"
    expected = np.abs(copy.weights(20)["blocks.0.attn.W_Q"]).max(axis=2)[:, :3]
    np.testing.assert_array_equal(data["largest_weight"].sel(epoch=20), expected)
    np.testing.assert_array_equal(data["loss"], before["loss"])
    # and it stays where a later call does not ask for it
    assert "largest_weight" in grokviz.measure(copy)


def test_only_new_checkpoints_are_measured(copy: grokviz.Run, snapshots_taken: list[int]) -> None:
    (copy.directory / "measurements.nc").unlink()
    grokviz.measure(copy, measures=(loss,))
    snapshots_taken.clear()
    data = grokviz.measure(copy, measures=(loss, largest_weight))
    assert not data["loss"].isnull().any()
    assert len(snapshots_taken) == len(copy.epochs)


@pytest.mark.slow
def test_an_edited_measure_is_computed_anew(copy: grokviz.Run) -> None:
    def mine(snapshot: Snapshot) -> Float[Tensor, ""]:
        return torch.tensor(1.0)

    assert (grokviz.measure(copy, measures=(mine,))["mine"] == 1).all()

    def mine(snapshot: Snapshot) -> Float[Tensor, ""]:
        return torch.tensor(2.0)

    assert (grokviz.measure(copy, measures=(mine,))["mine"] == 2).all()
    previous = xr.load_dataset(copy.directory / "measurements.previous.nc", engine="h5netcdf")
    assert (previous["mine"] == 1).all()


@pytest.mark.slow
def test_values_that_depend_on_other_key_frequencies_are_computed_anew(copy: grokviz.Run, monkeypatch) -> None:
    def with_keys(snapshot: Snapshot, key_frequencies: tuple[int, ...]) -> Float[Tensor, ""]:
        return torch.tensor(float(sum(key_frequencies)))

    monkeypatch.setattr(
        gathering, "find_keys", lambda snapshot: Keys((1, 2), "", (1.0, 0.5, 0.2), cyclic_blocks(np.arange(7)))
    )
    assert (grokviz.measure(copy, measures=(loss, with_keys))["with_keys"] == 3).all()
    monkeypatch.setattr(
        gathering, "find_keys", lambda snapshot: Keys((3,), "", (0.5, 0.2, 1.0), cyclic_blocks(np.arange(7)))
    )
    data = grokviz.measure(copy, measures=(loss, with_keys))
    assert (data["with_keys"] == 3.0).all()
    assert list(grokviz.key_frequencies_of(data)) == [3]


def test_what_was_measured_before_a_measure_fails_is_kept(copy: grokviz.Run) -> None:
    (copy.directory / "measurements.nc").unlink()

    def fails_late(snapshot: Snapshot) -> Float[Tensor, ""]:
        if snapshot.epoch == 20:
            raise ZeroDivisionError
        return torch.tensor(1.0)

    with pytest.raises(ZeroDivisionError):
        grokviz.measure(copy, measures=(loss, fails_late))
    kept = copy.measurements
    assert not kept["loss"].sel(epoch=20).isnull().any()
    assert kept["fails_late"].sel(epoch=20).isnull()
    # and the next call goes on from there
    data = grokviz.measure(copy, measures=(loss,))
    assert not data["loss"].isnull().any()
    assert kept["fails_late"].sel(epoch=0) == data["fails_late"].sel(epoch=0) == 1


@pytest.mark.slow
def test_a_factory_with_another_constant_is_another_measure(copy: grokviz.Run) -> None:
    def make(number: float):
        def mine(snapshot: Snapshot) -> Float[Tensor, ""]:
            return torch.tensor(number)

        return mine

    assert (grokviz.measure(copy, measures=(make(1.0),))["mine"] == 1).all()
    assert (grokviz.measure(copy, measures=(make(2.0),))["mine"] == 2).all()


@pytest.mark.slow
def test_an_interrupt_loses_nothing_and_leaves_the_end_measured(copy: grokviz.Run) -> None:
    (copy.directory / "measurements.nc").unlink()

    def interrupted(snapshot: Snapshot) -> Float[Tensor, ""]:
        if snapshot.epoch == copy.epochs[1]:
            raise KeyboardInterrupt
        return torch.tensor(1.0)

    with pytest.raises(KeyboardInterrupt):
        grokviz.measure(copy, measures=(loss, interrupted))
    assert copy.measurements["epoch"].values.tolist() == [*copy.epochs[:2], 40]
    assert not copy.measurements["loss"].isnull().any()


@pytest.mark.slow
def test_values_are_the_same_bits_on_any_number_of_threads(copy: grokviz.Run) -> None:
    before = torch.get_num_threads()
    measured = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            (copy.directory / "measurements.nc").unlink()
            measured.append(grokviz.measure(copy))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    one, three = measured
    assert one.identical(three)


def test_work_on_several_things_comes_out_in_their_order_and_begins_little_ahead() -> None:
    begun: list[int] = []

    def work(thing: int) -> int:
        begun.append(thing)
        return -thing

    outcomes = on_threads(work, range(100), workers=3)
    assert [next(outcomes) for _ in range(5)] == [(i, -i) for i in range(5)]
    outcomes.close()
    assert len(begun) <= 5 + AHEAD * 3
    assert list(on_threads(work, [], workers=2)) == []
    failing = on_threads(lambda thing: 1 // (thing - 1), range(3), workers=2)
    assert next(failing) == (0, -1)
    with pytest.raises(ZeroDivisionError):
        next(failing)


@pytest.mark.slow
def test_stored_values_that_no_longer_hold_are_kept_beside_the_new_ones(copy: grokviz.Run, monkeypatch) -> None:
    old = (copy.directory / "measurements.nc").read_bytes()
    monkeypatch.setattr(Source, "network", "another")
    grokviz.measure(copy, measures=(loss,))
    assert (copy.directory / "measurements.previous.nc").read_bytes() == old


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_and_all_others_are_measured(copy: grokviz.Run) -> None:
    (copy.directory / "measurements.nc").unlink()
    for epoch in (20, 40):  # one in the middle, and the last, which key frequencies are taken from
        damaged = copy.directory / "checkpoints" / f"epoch_{epoch:06d}.safetensors"
        content = bytearray(damaged.read_bytes())
        content[-1] ^= 1
        damaged.write_bytes(content)
    with pytest.raises(GrokvizError, match=r"2 of \d+ checkpoints cannot be read, all others are measured.*epoch 20"):
        grokviz.measure(copy)
    kept = copy.measurements
    assert set(kept["epoch"].values) == set(copy.epochs) - {20, 40}
    assert not kept["loss"].isnull().any()
    for function in grokviz.figures.FIGURES:
        if not grokviz.figures.why_not(function, kept):
            function(kept)


@pytest.mark.slow
def test_whole_numbers_and_truths_may_have_gaps(copy: grokviz.Run) -> None:
    def whole(snapshot: Snapshot) -> Int[Tensor, ""]:
        if snapshot.epoch == 20:
            raise ZeroDivisionError
        return torch.tensor(16_777_217)

    with pytest.raises(ZeroDivisionError):
        grokviz.measure(copy, measures=(loss, whole))
    assert copy.measurements["whole"].sel(epoch=0) == 16_777_217
    assert copy.measurements["whole"].sel(epoch=20).isnull()


NAMES_OF_OTHERS = """token history_train_loss epoch epochs_late status checkpoint run p config is_key_frequency
token_coordinate split_check key_frequency_epoch outcome""".split()


@pytest.mark.parametrize("name", [*NAMES_OF_OTHERS, "two words"])
def test_a_measure_cannot_take_the_name_of_an_axis_or_of_the_history(copy: grokviz.Run, name: str) -> None:
    def mine(snapshot: Snapshot) -> Float[Tensor, ""]:
        return torch.tensor(1.0)

    mine.__name__ = name
    with pytest.raises(GrokvizError, match=f"cannot be called '{name}'"):
        grokviz.measure(copy, measures=(mine,))


def test_measure_needs_a_run() -> None:
    with pytest.raises(GrokvizError, match="runs/quick is not there"):
        grokviz.measure("runs/quick")


def test_a_measure_without_axes_or_with_others_is_refused_with_an_example(copy: grokviz.Run) -> None:
    def no_axes(snapshot: Snapshot) -> Tensor:
        return torch.zeros(3)

    def wrong_axes(snapshot: Snapshot) -> Float[Tensor, "head token"]:
        return torch.zeros(3)

    with pytest.raises(GrokvizError, match=r"'no_axes' does not state its axes; annotate its return as Float\[Tensor"):
        grokviz.measure(copy, measures=(no_axes,))
    with pytest.raises(GrokvizError, match=r"'wrong_axes' returned a tensor of shape \(3,\)"):
        grokviz.measure(copy, measures=(wrong_axes,))

    def long_head(snapshot: Snapshot) -> Float[Tensor, "head"]:
        return torch.zeros(5)

    with pytest.raises(GrokvizError, match="'long_head' returned 5 values along 'head', which has 2 elsewhere"):
        grokviz.measure(copy, measures=(long_head,))
    with pytest.raises(GrokvizError, match="two measures are called 'loss'"):
        grokviz.measure(copy, measures=(loss, loss))


@pytest.mark.slow
def test_an_even_modulus_is_measured_and_drawn_whole(tmp_path: Path) -> None:
    config = grokviz.RunConfig(
        task=grokviz.TaskConfig(p=8, train_fraction=0.6),
        model=grokviz.ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=32),
        training=grokviz.TrainingConfig(epochs=20),
    )
    data = grokviz.measure(grokviz.train(config, tmp_path / "even"))
    assert data["frequency"].values.tolist() == [1, 2, 3, 4]
    assert data["component"].values[-1] == "alternating"
    for function in grokviz.figures.FIGURES:
        if not grokviz.figures.why_not(function, data):
            function(data)


def test_an_interrupt_before_the_first_value_leaves_what_was_there(copy: grokviz.Run) -> None:
    def interrupted(snapshot: Snapshot) -> Float[Tensor, ""]:
        raise KeyboardInterrupt

    (copy.directory / "measurements.nc").unlink()
    with pytest.raises(KeyboardInterrupt):
        grokviz.measure(copy, measures=(interrupted,))
    assert not copy.is_measured


def test_a_measure_must_be_a_function(copy: grokviz.Run) -> None:
    with pytest.raises(
        GrokvizError, match=r"measures holds functools\.partial.*, but a measure is a function of a snapshot"
    ):
        grokviz.measure(copy, measures=(partial(loss),))


def test_the_end_alone_dates_no_phase(tiny_run: grokviz.Run) -> None:
    data = tiny_run.measurements.isel(epoch=[-1])
    data = data.assign(excluded_loss=data["loss"])
    assert any("only one checkpoint has been measured" in reason for reason in grokviz.find_phases(data).not_yet)


@pytest.mark.slow
def test_a_measure_that_did_not_say_what_it_needs_is_tried_once(copy: grokviz.Run) -> None:
    tried: list[int] = []

    def forgetful(snapshot: Snapshot) -> Float[Tensor, ""]:
        tried.append(snapshot.epoch)
        raise LackingError("there is no moon tonight")

    data = grokviz.measure(copy, measures=(loss, forgetful))
    assert tried == [40]
    assert json.loads(data.attrs["absent"])["forgetful"] == "there is no moon tonight"
    assert not data["loss"].isnull().any()


def test_key_frequencies_come_by_their_name(copy: grokviz.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys((2,), "", (0.5, 1.0, 0.1), cyclic_blocks(np.arange(7)))
    monkeypatch.setattr("grokviz.analysis.taking.gathering.find_keys", lambda snapshot: keys)

    def after_another(snapshot: Snapshot, scale=2.0, key_frequencies=()) -> Float[Tensor, ""]:
        return torch.tensor(scale * sum(key_frequencies))

    def by_name_alone(snapshot: Snapshot, *, key_frequencies) -> Float[Tensor, ""]:
        return torch.tensor(float(sum(key_frequencies)))

    def with_collectors(snapshot: Snapshot, *rest, key_frequencies, **others) -> Float[Tensor, ""]:
        return torch.tensor(float(sum(key_frequencies) + len(rest) + len(others)))

    data = grokviz.measure(copy, (after_another, by_name_alone, with_collectors))
    assert (data["after_another"] == 4).all()
    assert (data["by_name_alone"] == 2).all()
    assert (data["with_collectors"] == 2).all()


def test_a_measure_that_cannot_be_called_as_one_is_refused(copy: grokviz.Run) -> None:
    def nothing() -> Float[Tensor, ""]:
        return torch.tensor(1.0)

    def keys_first(key_frequencies) -> Float[Tensor, ""]:
        return torch.tensor(1.0)

    def keys_by_place(snapshot, key_frequencies, /) -> Float[Tensor, ""]:
        return torch.tensor(1.0)

    def by_name(*, snapshot) -> Float[Tensor, ""]:
        return torch.tensor(1.0)

    def more(snapshot, other) -> Float[Tensor, ""]:
        return torch.tensor(1.0)

    for wrong, says in (
        (nothing, "takes no snapshot as its first argument"),
        (keys_first, "takes no snapshot as its first argument"),
        (keys_by_place, "cannot be given key_frequencies by its name"),
        (by_name, "takes no snapshot as its first argument"),
        (more, "asks for 'other'"),
    ):
        with pytest.raises(GrokvizError, match=says):
            grokviz.measure(copy, wrong)


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        ("run", "an axis called 'run', which is a name of the dataset's own"),
        ("epoch", "an axis called 'epoch', which is kept for the history and the epochs"),
        ("history_epoch", "kept for the history"),
        ("checkpoint", "the dataset's own"),
        ("p", "the dataset's own"),
        ("loss", "the name of a measure"),
        ("mine", "the name of a measure"),
        ("token token", "the name of two of its axes"),
        ("3 token", "which is no name"),
        ("... token", "which is no name"),
        ("*rest", "which is no name"),
        ("token=3", "which is no name"),
    ],
)
def test_an_axis_cannot_take_a_name_that_something_else_has(copy: grokviz.Run, axes: str, says: str) -> None:
    def mine(snapshot):
        return torch.zeros(3)

    mine.__annotations__["return"] = Float[Tensor, axes]
    with pytest.raises(GrokvizError, match=says):
        grokviz.measure(copy, mine)


def test_an_axis_called_as_a_measure_that_was_taken_before_is_refused(copy: grokviz.Run) -> None:
    def first(snapshot: Snapshot) -> Float[Tensor, ""]:
        return torch.tensor(1.0)

    def second(snapshot: Snapshot) -> Float[Tensor, "first"]:
        return torch.zeros(3)

    grokviz.measure(copy, first)
    with pytest.raises(GrokvizError, match="'second' has an axis called 'first', as is a measure"):
        grokviz.measure(copy, second)


def test_half_precision_is_kept_in_single_and_what_no_file_keeps_is_refused(copy: grokviz.Run) -> None:
    def half(snapshot: Snapshot) -> Float[Tensor, ""]:
        return torch.tensor(0.5, dtype=torch.bfloat16)

    def complex_number(snapshot: Snapshot) -> Float[Tensor, ""]:
        return torch.tensor(1j)

    assert (grokviz.measure(copy, half)["half"] == 0.5).all()
    with pytest.raises(GrokvizError, match=r"'complex_number' returned a tensor of torch\.complex64"):
        grokviz.measure(copy, complex_number)


def test_the_schema_of_measurements_has_the_axes_of_every_measure() -> None:
    assert {spec.name: spec.axes for spec in specs_of(grokviz.MEASURES)} == dict(AXES_OF_MEASURES)
    assert {BLOCK, *LABELS} >= {axis for axes in AXES_OF_MEASURES.values() for axis in axes}


def test_a_measure_of_ones_own_that_has_the_name_of_grokvizs_has_its_axes_too(tiny_run: grokviz.Run) -> None:
    def loss(snapshot: grokviz.Snapshot) -> Float[Tensor, "pair"]:
        return torch.zeros(49)

    with pytest.raises(
        GrokvizError, match=r"'loss' has the axes \(pair\), but grokviz's measure of that name has \(split\)"
    ):
        grokviz.measure(tiny_run, [loss])


def test_a_unit_of_work_is_a_value_that_can_be_pickled_and_the_end_comes_first(tiny_run: grokviz.Run) -> None:
    specs = specs_of(["loss", "accuracy"])
    columns = {spec.name: Column.empty(spec, tiny_run.config.task.task) for spec in specs}
    columns["loss"].put(10, np.zeros(5), room=1)
    units = units_of([0, 10, 20], specs, columns, {})
    assert units == [Unit(20, ("loss", "accuracy")), Unit(0, ("loss", "accuracy")), Unit(10, ("accuracy",))]
    assert pickle.loads(pickle.dumps(units)) == units
    assert units[1].without({"loss": "lacking"}) == Unit(0, ("accuracy",))
    assert units_of([0, 10], specs, columns, {"accuracy": "lacking"}) == [Unit(0, ("loss",))]
