"""Damaged files: every one is detected and named, and what is whole stays usable."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import grokviz
from grokviz.analysis.taking.sources import Source
from grokviz.cli.main import main


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, tiny_config: grokviz.RunConfig) -> Path:
    """A finished run, measured twice (so that there are previous measurements), ablated and reported."""
    run = grokviz.train(tiny_config, tmp_path_factory.mktemp("damage") / "run")
    grokviz.measure(run, measures=grokviz.measures.weights.MEASURES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, "network", "another")
        grokviz.measure(run)
    grokviz.ablate(run, grokviz.interventions.remove(1), progress=False)
    grokviz.write_report(run)
    assert not grokviz.check_run(run.directory).damages
    return run.directory


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return shutil.copytree(original, tmp_path / "run")


def files_of(run: Path) -> list[str]:
    return sorted(
        path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


def flipped(content: bytes, moments: random.Random) -> bytes:
    damaged = bytearray(content)
    damaged[moments.randrange(len(content))] ^= 1 << moments.randrange(8)
    return bytes(damaged)


def undetected(run: Path, names: Iterator[str], damage: Callable[[bytes], bytes], capsys) -> list[tuple[str, str]]:
    """The files whose damage `grokviz check` did not name."""
    missed = []
    for name in names:
        whole = (run / name).read_bytes()
        (run / name).write_bytes(damage(whole))
        code = main(["check", str(run)])
        said, errors = capsys.readouterr()
        (run / name).write_bytes(whole)
        named = [line.split(": ")[1] for line in said.splitlines() if line.startswith("damaged: ")]
        if code != 1 or named != [name] or errors:
            missed.append((name, said + errors))
    return missed


@pytest.mark.slow
def test_every_flipped_bit_is_detected_and_its_file_named(run: Path, whole: bool, figures, capsys) -> None:
    moments = random.Random(1)
    names = files_of(run)
    count = 200 if whole else len(names)
    chosen = [*names, *moments.choices(names, k=count - len(names))]
    missed = undetected(run, iter(chosen), lambda content: flipped(content, moments), capsys)
    figures(f"{count} single bits flipped over all {len(names)} files: {len(missed)} undetected or not named")
    assert missed == []


@pytest.mark.slow
def test_every_truncation_is_detected_and_its_file_named(run: Path, whole: bool, figures, capsys) -> None:
    moments = random.Random(2)
    names = files_of(run)
    count = 50 if whole else 6
    chosen = [*names, *moments.choices(names, k=count)][:count]
    missed = undetected(run, iter(chosen), lambda content: content[: moments.randrange(len(content))], capsys)
    figures(f"{count} files cut short: {len(missed)} undetected or not named")
    assert missed == []


@pytest.mark.slow
def test_zeroed_emptied_and_grown_files_are_detected_and_named(run: Path, whole: bool, figures, capsys) -> None:
    missed = []
    damages = (lambda content: bytes(len(content)), lambda content: b"", lambda content: content + b"\0")
    for place, damage in enumerate(damages):
        names = [name for name in files_of(run) if name != "history.csv" or damage is not damages[2]]
        missed += undetected(run, iter(names if whole else names[place::6]), damage, capsys)
    each = "every file" if whole else "every second file"
    figures(
        f"{each} zeroed, emptied, {'and' if whole else 'or'} (but the history) lengthened: {len(missed)} undetected or not named"
    )
    assert missed == []


@pytest.mark.slow
def test_deleted_and_swapped_files_are_detected_and_named(run: Path, whole: bool, figures, capsys) -> None:
    missed, step = [], 1 if whole else 3
    for name in files_of(run)[::step]:
        (run / name).rename(run / "elsewhere")
        main(["check", str(run)])
        said, _ = capsys.readouterr()
        (run / "elsewhere").rename(run / name)
        if f"damaged: {name}: " not in said:
            missed.append((name, said))
    checkpoints = [name for name in files_of(run) if name.startswith(("checkpoints", "states"))][::step]
    for one, other in zip(checkpoints, [*checkpoints[1:], checkpoints[0]], strict=True):
        contents = (run / one).read_bytes(), (run / other).read_bytes()
        (run / one).write_bytes(contents[1])
        (run / other).write_bytes(contents[0])
        main(["check", str(run)])
        said, _ = capsys.readouterr()
        (run / one).write_bytes(contents[0])
        (run / other).write_bytes(contents[1])
        if f"damaged: {one}: " not in said or f"damaged: {other}: " not in said:
            missed.append((one, other, said))
    which = "every" if whole else "every third"
    figures(f"{which} file deleted, {len(checkpoints)} pairs of files swapped: {len(missed)} undetected or not named")
    assert missed == []


@pytest.mark.slow
@pytest.mark.parametrize("command", ["measure", "ablate", "report", "resume", "figure"])
def test_on_a_damaged_run_no_command_ends_with_a_traceback(run: Path, command: str, whole: bool, capsys) -> None:
    moments = random.Random(3)
    names = [name for name in files_of(run) if not name.startswith("report")]
    extra = {"resume": ["--epochs", "45", "--threads", "1"], "figure": ["losses", "-o", str(run.with_name("f.html"))]}
    extra["ablate"] = ["--remove", "1"]
    for name in names if whole else names[::4]:
        damaged = shutil.copytree(run, run.with_name(f"damaged_{name.replace('/', '_')}"))
        (damaged / name).write_bytes(flipped((damaged / name).read_bytes(), moments))
        run.with_name("f.html").unlink(missing_ok=True)
        code = main([command, str(damaged), *extra.get(command, [])])
        said, errors = capsys.readouterr()
        assert code in (0, 2), (name, said, errors)
        lines = [line for line in errors.splitlines() if not line.startswith("grokviz: ")]
        assert lines == [], (name, errors)


@pytest.mark.slow
def test_repair_sets_what_is_damaged_aside_and_keeps_the_rest(run: Path, capsys) -> None:
    names = (
        "checkpoints/epoch_000020.safetensors",
        "states/epoch_000040.safetensors",
        "measurements.nc",
        "interventions.nc",
        "report.html",
    )
    damaged = {}
    for name in names:
        damaged[name] = flipped((run / name).read_bytes(), random.Random(4))
        (run / name).write_bytes(damaged[name])
    assert main(["check", str(run), "--repair", "--yes"]) == 0
    assert "set aside: damaged/measurements.nc" in capsys.readouterr().out
    assert not grokviz.check_run(run).damages
    assert {name: (run / "damaged" / name).read_bytes() for name in names} == damaged
    repaired = grokviz.open_run(run)
    assert 20 not in repaired.epochs
    assert repaired.epochs[-1] == 40
    assert repaired.history.sizes["epoch"] == 41
    assert main(["measure", str(run)]) == main(["report", str(run)]) == main(["ablate", str(run), "--remove", "1"]) == 0
    # the training state of epoch 20 is whole, and training goes on from there
    assert main(["resume", str(run), "--epochs", "50"]) == 0
    assert grokviz.open_run(run).epochs[-1] == 50


@pytest.mark.slow
def test_repair_drops_only_the_damaged_rows_of_a_history(run: Path) -> None:
    rows = (run / "history.csv").read_bytes().splitlines(keepends=True)
    damaged = [*rows[:8], rows[8].replace(b".", b","), *rows[9:]]  # epoch 7
    (run / "history.csv").write_bytes(b"".join(damaged))
    with pytest.raises(grokviz.GrokvizError, match="the rows up to epoch 12 are not what was written"):
        _ = grokviz.open_run(run).history
    assert grokviz.repair_run(run) == [
        "history.csv: dropped the damaged rows up to epoch 12; those of 1 checkpoints are computed again"
    ]
    assert not grokviz.check_run(run).damages
    kept = grokviz.open_run(run).history["epoch"].values.tolist()
    assert kept == [epoch for epoch in range(41) if not 3 < epoch < 12]
    assert (run / "damaged" / "history.csv").read_bytes() == b"".join(damaged)
    grokviz.measure(grokviz.open_run(run))
    grokviz.write_report(grokviz.open_run(run))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["deleted", "damaged"])
def test_a_lost_manifest_is_made_anew_from_what_can_be_read(run: Path, loss: str, capsys) -> None:
    before = grokviz.open_run(run)
    epochs, history, measurements = before.epochs, before.history, before.measurements
    (run / "checkpoints" / "epoch_000012.safetensors").write_bytes(b"nonsense")
    if loss == "deleted":
        (run / "manifest.json").unlink()
    else:
        (run / "manifest.json").write_bytes(flipped((run / "manifest.json").read_bytes(), random.Random(5)))
    assert main(["check", str(run)]) == 1
    assert "damaged: manifest.json" in capsys.readouterr().out
    assert main(["check", str(run), "--repair", "--yes"]) == 0
    assert not grokviz.check_run(run).damages
    after = grokviz.open_run(run)
    assert after.epochs == tuple(epoch for epoch in epochs if epoch != 12)
    assert after.history.identical(history)
    assert after.measurements.identical(measurements)
    assert after.status == "finished"
    assert main(["resume", str(run), "--epochs", "50"]) == 0


def test_a_damaged_configuration_cannot_be_repaired_and_says_what_can(run: Path, capsys) -> None:
    (run / "config.json").write_bytes(flipped((run / "config.json").read_bytes(), random.Random(6)))
    assert main(["check", str(run)]) == 1
    assert "restore it from a copy" in capsys.readouterr().out
    assert main(["check", str(run), "--repair", "--yes"]) == 2
    assert "only a copy of it can repair that" in capsys.readouterr().err


def test_repair_asks_first(run: Path, capsys, monkeypatch) -> None:
    (run / "report.html").write_text("")
    files = {name: (run / name).read_bytes() for name in files_of(run)}
    assert main(["check", str(run), "--repair"]) == 2
    assert "no terminal to ask on; add --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert main(["check", str(run), "--repair"]) == 1
    assert "nothing was changed" in capsys.readouterr().out
    assert {name: (run / name).read_bytes() for name in files_of(run)} == files
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert main(["check", str(run), "--repair"]) == 0
    assert not (run / "report.html").exists()
