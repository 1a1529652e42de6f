"""Nothing waits for what it does not use: torch and TransformerLens take seconds to import."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import grokviz
from grokviz.analysis.reading import current
from grokviz.analysis.reading.current import current_outline
from grokviz.analysis.taking.measures.performance import loss
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.analysis.taking.sources import Source
from grokviz.cli.main import main
from grokviz.errors import DamagedError

SCRIPT = """
import sys
from grokviz.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print("imported:", *sorted({"torch", "transformer_lens", "plotly"} & set(sys.modules)))
"""


def imported_by(*arguments: object) -> set[str]:
    """The slow packages that a command imports, in a process of its own."""
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].removeprefix("imported:").split())


@pytest.fixture
def copy(tiny_run: grokviz.Run, tmp_path: Path) -> grokviz.Run:
    """A copy of the tiny run, measured under its own name."""
    run = grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path / "copy"))
    grokviz.measure(run)
    return run


@pytest.mark.parametrize(
    "arguments", [["resume", "nosuch"], ["measure", "nosuch"], ["report", "nosuch"], ["train", "quik"]]
)
def test_what_is_refused_is_refused_before_anything_slow_is_imported(arguments: list[str]) -> None:
    assert imported_by(*arguments) == set()


def test_measuring_what_is_measured_needs_no_torch_and_the_rest_no_transformer_lens(copy: grokviz.Run) -> None:
    assert imported_by("measure", copy.directory) == set()
    (copy.directory / "measurements.nc").unlink()
    assert imported_by("measure", copy.directory) == {"torch"}
    assert imported_by("report", copy.directory) == {"plotly"}


def test_training_builds_no_hooked_transformer(tmp_path: Path) -> None:
    options = ["--p", "7", "--epochs", "3", "--d-model", "16", "--n-heads", "2", "--d-head", "8", "--d-mlp", "32"]
    for engine in ("auto", "torch"):
        assert imported_by("train", "quick", *options, "--engine", engine, "--out", tmp_path / engine) == {"torch"}


def test_the_outline_says_of_current_measurements_what_they_say(copy: grokviz.Run) -> None:
    outline = current_outline(copy)
    assert outline is not None
    measurements = copy.measurements
    assert outline.attrs.items() >= measurements.attrs.items()
    for name in ("epoch", "frequency", "is_key_frequency"):
        np.testing.assert_array_equal(outline[name], measurements[name])
    assert grokviz.key_frequencies_of(outline) == grokviz.key_frequencies_of(measurements)


def test_measurements_are_current_while_nothing_that_they_depend_on_has_changed(copy: grokviz.Run, monkeypatch) -> None:
    renamed = grokviz.open_run(copy.directory.rename(copy.directory.with_name("renamed")))
    assert current_outline(renamed) is None  # they name the run
    grokviz.measure(renamed)
    assert current_outline(renamed) is not None
    with monkeypatch.context() as patch:
        patch.setattr(current, "_source_code", lambda: "other code")
        assert current_outline(renamed) is None
    longer = grokviz.resume(renamed.directory, epochs=60)
    assert current_outline(longer) is None
    grokviz.measure(longer)
    assert current_outline(longer.refresh()) is not None


def test_measurements_of_some_measures_alone_are_not_current(copy: grokviz.Run) -> None:
    (copy.directory / "measurements.nc").unlink()
    grokviz.measure(copy, measures=(loss,))
    assert current_outline(copy) is None
    grokviz.measure(copy)
    assert current_outline(copy) is not None


def test_what_an_interrupt_left_is_not_current(copy: grokviz.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy.directory / "measurements.nc").unlink()
    real = Source.snapshot

    def interrupted(source: Source, epoch: int) -> Snapshot:
        if epoch == copy.epochs[2]:
            raise KeyboardInterrupt
        return real(source, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(Source, "snapshot", interrupted)
        with pytest.raises(KeyboardInterrupt):
            grokviz.measure(copy)
    assert copy.measurements.sizes["epoch"] < len(copy.epochs)
    assert current_outline(copy) is None
    assert main(["measure", str(copy.directory)]) == 0
    assert copy.refresh().measurements.sizes["epoch"] == len(copy.epochs)


def test_measurements_without_a_damaged_checkpoint_are_not_current_and_it_is_said_every_time(
    copy: grokviz.Run, capsys: pytest.CaptureFixture
) -> None:
    (copy.directory / "measurements.nc").unlink()
    checkpoint = copy.directory / "checkpoints" / "epoch_000020.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1] + b"x")
    for _ in range(2):
        assert main(["measure", str(copy.directory)]) == 2
        assert "1 of 6 checkpoints cannot be read" in capsys.readouterr().err
    assert current_outline(copy.refresh()) is None


def test_damage_is_said_of_current_measurements_too(copy: grokviz.Run) -> None:
    checkpoint = copy.directory / "checkpoints" / "epoch_000040.safetensors"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:-1] + b"x")
    with pytest.raises(DamagedError, match="epoch_000040"):
        current_outline(copy)
    checkpoint.write_bytes(whole)
    measurements = copy.directory / "measurements.nc"
    measurements.write_bytes(measurements.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedError, match=r"measurements\.nc is damaged"):
        current_outline(copy)
