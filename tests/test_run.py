import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import xarray as xr
from jaxtyping import Float

import grokviz
from grokviz.errors import DamagedError, GrokvizError, NoRunError
from grokviz.store import run as run_module
from grokviz.store.changing import changing
from grokviz.store.manifest import Manifest


@pytest.fixture
def copy(tiny_run: grokviz.Run, tmp_path: Path) -> Path:
    """A copy of the tiny run that may be damaged."""
    return shutil.copytree(tiny_run.directory, tmp_path / "copy")


def test_a_run_gives_its_config_history_epochs_and_models(tiny_run: grokviz.Run) -> None:
    run = grokviz.open_run(str(tiny_run.directory))
    assert run.config == tiny_run.config
    assert run.status == "finished"
    assert run.epochs[0] == 0
    assert run.epochs[-1] == 40
    assert list(run.history.data_vars) == ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    model = run.model(40)
    assert type(model).__name__ == "HookedTransformer"
    _, cache = model.run_with_cache(torch.tensor([[1, 2, 7]]))
    assert cache["blocks.0.attn.hook_pattern"].shape == (1, 2, 3, 3)


def put(directory: Path, name: str, content: bytes) -> None:
    """Write a file of the run with all that its manifest must say of it, as somebody with bad intent would."""
    with changing(directory) as change:
        change.put(name, content)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda d: shutil.rmtree(d), "is not there"),
        (lambda d: (shutil.rmtree(d), d.write_text("")), "a file, not a directory"),
        (lambda d: (d / "config.json").unlink(), "not a grokviz run"),
        (lambda d: (d / "config.json").write_text("{"), "is damaged"),
        (lambda d: put(d, "config.json", b"[]"), "does not hold a JSON object"),
        (lambda d: put(d, "config.json", b'{"schema_version": 3}'), "no 'config' section"),
        (lambda d: (d / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda d: ((d / "manifest.json").unlink(), shutil.rmtree(d / "checkpoints")), "holds no checkpoint"),
        (lambda d: (d / "manifest.json").write_bytes(Manifest(status="training").to_bytes()), "holds no checkpoint"),
        (lambda d: (d / "manifest.json").write_text('{"files": 3}'), "not a file of grokviz"),
        (lambda d: (d / "manifest.json").write_text('{"schema_version": 3, "files": 3}'), "is damaged"),
        (lambda d: (d / "manifest.json").write_text('{"files": {"a'), "is damaged"),
    ],
)
def test_what_is_no_run_or_half_a_run_is_refused_in_one_line(copy: Path, damage, says: str) -> None:
    damage(copy)
    with pytest.raises(GrokvizError) as error:
        grokviz.open_run(copy)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_run_of_a_newer_schema_or_with_a_senseless_config_is_refused(copy: Path) -> None:
    described = json.loads((copy / "config.json").read_text())
    put(copy, "config.json", json.dumps(described | {"schema_version": 99}).encode())
    with pytest.raises(GrokvizError, match=r"config\.json has schema version 99, and this grokviz reads 2 to 10"):
        grokviz.open_run(copy)
    described["config"]["task"]["p"] = -7
    put(copy, "config.json", json.dumps(described).encode())
    with pytest.raises(GrokvizError, match=r"config\.json: p is -7"):
        grokviz.open_run(copy)


def test_a_missing_epoch_is_refused_with_the_nearest_ones(tiny_run: grokviz.Run) -> None:
    with pytest.raises(GrokvizError, match="no checkpoint of epoch 17; the nearest are"):
        tiny_run.model(17)


def test_a_damaged_checkpoint_is_named(copy: Path) -> None:
    (copy / "checkpoints" / "epoch_000040.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0nonsense")
    with pytest.raises(GrokvizError, match=r"epoch_000040\.safetensors is damaged"):
        grokviz.open_run(copy).weights(40)


def test_missing_and_damaged_measurements_are_refused_with_the_way_on(copy: Path) -> None:
    (copy / "measurements.nc").write_bytes(b"nonsense")
    with pytest.raises(GrokvizError, match=r"measurements\.nc is damaged: it is not what was written.*grokviz measure"):
        _ = grokviz.open_run(copy).measurements
    put(copy, "measurements.nc", b"nonsense")
    with pytest.raises(GrokvizError, match=r"measurements\.nc cannot be read.*grokviz measure"):
        _ = grokviz.open_run(copy).measurements
    (copy / "measurements.nc").unlink()
    with pytest.raises(GrokvizError, match="no measurements yet; make them with: grokviz measure"):
        _ = grokviz.open_run(copy).measurements


def test_a_history_that_is_being_written_is_read_up_to_its_last_whole_line(copy: Path) -> None:
    with (copy / "history.csv").open("a") as file:
        file.write("41,1.2,0.")
    assert grokviz.open_run(copy).history["epoch"][-1].item() == 40


@pytest.mark.parametrize(
    "content",
    [
        "",
        "a,b\n",
        "epoch,train_loss,train_accuracy,test_loss,test_accuracy\n0,x,1,,\n",
        "epoch,train_loss,train_accuracy,test_loss,test_accuracy\n",
        b"\xff\xfe\n",
    ],
)
def test_a_damaged_history_is_refused_in_one_line(copy: Path, content: str | bytes) -> None:
    (copy / "history.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(GrokvizError, match=r"history\.csv"):
        _ = grokviz.open_run(copy).history


@pytest.mark.slow
def test_opening_a_run_its_measurements_and_figures_needs_no_torch(tiny_run: grokviz.Run) -> None:
    code = f"""
import sys, grokviz
run = grokviz.open_run({str(tiny_run.directory)!r})
grokviz.figures.spectrum(run.measurements)
assert not {{"torch", "transformer_lens"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def manifest_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories whose manifest has been read."""
    read: list[Path] = []
    real = run_module.read_manifest

    def counting(directory: Path) -> Manifest:
        read.append(directory)
        return real(directory)

    monkeypatch.setattr(run_module, "read_manifest", counting)
    return read


def test_opening_a_run_reads_its_manifest_once_and_reading_from_it_never(
    tiny_run: grokviz.Run, manifest_reads: list[Path]
) -> None:
    run = grokviz.open_run(tiny_run.directory)
    assert len(manifest_reads) == 1
    for epoch in run.epochs:
        run.weights(epoch)
    _ = run.training_state(run.epochs[-1]), run.history, run.measurements, run.status, run.config, run.checkpoints
    assert len(manifest_reads) == 1
    run.refresh()
    assert len(manifest_reads) == 2


def test_what_was_added_since_is_there_after_a_refresh(copy: Path) -> None:
    old = grokviz.open_run(copy)
    grokviz.resume(copy, epochs=60)
    assert (old.epochs[-1], old.config.training.epochs) == (40, 40)
    assert old.refresh() is old
    assert (old.epochs[-1], old.config.training.epochs) == (60, 60)


def test_a_file_that_was_replaced_since_the_run_was_opened_is_no_damage(copy: Path) -> None:
    run, other = grokviz.open_run(copy), grokviz.open_run(copy)
    grokviz.measure(other, measures=(*grokviz.MEASURES, marked))
    assert "marked" in run.measurements
    (copy / "measurements.nc").write_bytes(b"damaged")
    with pytest.raises(DamagedError, match="is not what was written"):
        _ = run.measurements


def marked(snapshot: grokviz.Snapshot) -> Float[torch.Tensor, ""]:
    return torch.tensor(1.0)


def test_where_there_is_no_run_a_caller_can_tell(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NoRunError):
            grokviz.open_run(directory)
        with pytest.raises(NoRunError):
            grokviz.resume(directory)


def test_a_run_says_what_it_is(tiny_run: grokviz.Run) -> None:
    assert re.fullmatch(
        r"Run\('.*tiny': addition mod 7, finished, 40 epochs, test accuracy [\d.]+%, neither memorised nor grokked, "
        r"6 checkpoints\)",
        repr(tiny_run),
    )


def test_a_run_shows_itself_as_a_card_with_its_losses_and_no_script(tiny_run: grokviz.Run, tmp_path: Path) -> None:
    run = grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path / "<script>alert(1)</script>"))
    card = run._repr_html_()
    assert "addition mod 7" in card
    assert "finished, 40 epochs, test accuracy" in card
    assert card.count("<polyline") == 2
    assert "<script>" not in card
    assert "&lt;script&gt;" in card


def test_a_run_that_has_only_begun_or_is_damaged_shows_what_can_be_said(tiny_run: grokviz.Run, copy: Path) -> None:
    run = grokviz.open_run(copy)
    (copy / "history.csv").write_text("ruined")
    assert repr(run) == f"Run({str(copy)!r}: finished, 6 checkpoints)"
    assert "check" in run._repr_html_()
    (copy / "manifest.json").unlink()
    shutil.rmtree(copy / "checkpoints")
    begun = grokviz.open_run(copy, begun=False)
    assert "training, 0 of 40 epochs, 0 checkpoints" in repr(begun)
    assert "none yet" in begun._repr_html_()


def test_some_measures_are_read_as_they_are_among_all(tiny_run: grokviz.Run) -> None:
    names = [str(name) for name, values in tiny_run.measurements.data_vars.items() if "fingerprint" in values.attrs]
    some = tiny_run.measures([*names, "no_such_measure"])
    every = tiny_run.measurements[names].drop_vars("run")
    xr.testing.assert_equal(some, every)
    assert {name: values.dims for name, values in some.items()} == {name: values.dims for name, values in every.items()}
    assert some.attrs["absent"] == tiny_run.measurements.attrs["absent"]
    assert some["loss"].attrs["formula"] == every["loss"].attrs["formula"]


def test_a_manifest_is_written_as_json_indents_it() -> None:
    from grokviz.store.manifest import _json

    values = {"a": [], "b": {}, "c": [1, [2, {"x": None, "é\n": 1.5e-7, "t": True}]], "": -0.0, "far": float("inf")}
    for value in (values, [values], "x", 3, None, {}):
        assert _json(value, "\n") == json.dumps(value, indent=1)
