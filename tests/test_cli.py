import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import grokviz
from grokviz.cli import commands
from grokviz.cli.main import main
from grokviz.cli.table import COMMANDS

TINY = [
    *"--p 23 --train-fraction 0.6 --d-model 16 --n-heads 2 --d-head 8 --d-mlp 32".split(),
    *"--epochs 20 --threads 1".split(),
]


@pytest.fixture
def copy(tiny_run: grokviz.Run, in_tmp_path: Path) -> str:
    """A measured run called `copy` in the current directory."""
    shutil.copytree(tiny_run.directory, in_tmp_path / "copy")
    return "copy"


@pytest.mark.slow
def test_run_trains_measures_and_reports_and_says_what_it_did(in_tmp_path: Path, capsys) -> None:
    assert main(["run", "quick", *TINY, "--out", "mine"]) == 0
    said = capsys.readouterr().out
    assert "trained: mine" in said
    assert "measured: mine" in said
    assert "report: mine/report.html" in said
    assert (in_tmp_path / "mine" / "report.html").exists()


@pytest.mark.slow
def test_the_three_steps_by_themselves_name_the_next_command(in_tmp_path: Path, capsys) -> None:
    assert main(["train", *TINY]) == 0
    assert "next: grokviz measure runs/default" in capsys.readouterr().out
    assert main(["measure", "runs/default"]) == 0
    assert "next: grokviz report runs/default" in capsys.readouterr().out
    assert main(["report", "runs/default"]) == 0
    assert main(["figure", "runs/default", "spectrum", "--epoch", "20", "-o", "spectrum.html"]) == 0
    assert (in_tmp_path / "spectrum.html").stat().st_size > 1e6


def test_flags_are_the_fields_of_the_config_and_override_the_preset(in_tmp_path: Path) -> None:
    flags = "--seed 3 --split-seed 4 --weight-decay 0.5 --learning-rate 0.01 --betas 0.8 0.9 --test-every 5"
    assert main(["train", "nanda2023", *TINY, *flags.split(), "--out", "mine"]) == 0
    config = grokviz.open_run("mine").config
    assert (config.model.seed, config.task.split_seed, config.training.test_every) == (3, 4, 5)
    assert (config.training.weight_decay, config.training.learning_rate, config.training.betas) == (
        0.5,
        0.01,
        (0.8, 0.9),
    )
    assert (config.model.output_vocabulary, config.training.warmup_epochs) == ("tokens", 10)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("tran", "did you mean train?"),
        (
            "frobnicate",
            "choose one of: run, train, resume, import, measure, ablate, report, watch, measurements, figure, compare, study, ",
        ),
        ("train nope", "preset 'nope' is unknown; choose one of: default, nanda2023, quick, s5"),
        ("train --foo 3", "Unrecognized options: --foo"),
        ("train --p 1", "p is 1, but must be at least 3"),
        ("train --p seven", "--p"),
        ("train --epochs", "--epochs"),
        ("train --initialisation xavier", "nanda2023"),
        (
            "train --biases some",
            "invalid choice 'some' for argument '--biases'. Expected one of ('none', 'mlp_in', 'mlp', 'all')",
        ),
        ("train --train-fraction 1.5", "between 0 and 1"),
        ("train --device cuda:99 --out new", "try --device cpu"),
        ("train --out copy", "never overwritten"),
        ("run quick --out copy", "never overwritten"),
        ("measure", "RUN"),
        ("measure nowhere", "nowhere is not there"),
        ("measure .", "not a grokviz run"),
        ("report nowhere", "nowhere is not there"),
        ("figure copy", "NAME"),
        ("figure copy loses", "figure 'loses' is unknown; did you mean losses"),
        ("figure copy spectrum --epoch 17", "no checkpoint of epoch 17; the nearest are"),
        ("figure copy losses --epoch 20", "leave out --epoch 20"),
        ("figure copy losses -o copy/config.json", "exists and is not overwritten"),
        ("figure copy losses -o losses.gif", "written as one of: .html"),
        ("figure copy losses -o no/such/folder.html", "cannot be written"),
    ],
)
def test_bad_input_gets_one_line_that_says_what_to_do_and_code_2(copy: str, arguments: str, says: str, capsys) -> None:
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.startswith("grokviz: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("damage", "command", "says"),
    [
        (lambda d: (d / "measurements.nc").unlink(), "report copy", "grokviz measure copy"),
        (lambda d: (d / "measurements.nc").unlink(), "figure copy losses", "grokviz measure copy"),
        (lambda d: (d / "manifest.json").unlink(), "measure copy", "manifest.json is missing"),
        (lambda d: shutil.rmtree(d / "checkpoints"), "measure copy", "cannot be read"),
        (lambda d: (d / "history.csv").unlink(), "measure copy", "history.csv cannot be read"),
        (lambda d: (d / "config.json").write_text("{"), "report copy", "is damaged"),
    ],
)
def test_a_damaged_run_gets_one_line_too(copy: str, damage, command: str, says: str, capsys) -> None:
    damage(Path(copy))
    assert main(command.split()) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_help_lists_every_command_in_its_own_words(capsys) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    for command in COMMANDS:
        assert command.summary in said
        assert commands.function_of(command).__doc__ == command.summary


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_each_command_has_help_with_the_fields_own_text(command: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "usage: grokviz" in said
    if command in ("run", "train"):
        assert "Weight decay; grokking needs it." in said
        assert "--test-every" in said


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_completion_script_knows_every_command_and_flag(shell: str, capsys) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for command in COMMANDS:
        assert command.name in script
    assert "--weight-decay" in script or "weight-decay" in script
    assert main(["completion", "fish"]) == 2
    assert "'bash', 'zsh'" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from grokviz.cli.main import main
main(["--help"])
assert not {"torch", "numpy", "plotly", "tyro"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.slow
def test_the_installed_command_answers_and_is_quiet_where_stderr_is_no_terminal(in_tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grokviz.cli", "train", *TINY, "--out", "mine"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("trained: mine")


@pytest.mark.slow
def test_the_history_can_be_followed_while_it_grows(in_tmp_path: Path) -> None:
    flags = [*TINY, "--epochs", "1000000", "--out", "long", "--checkpoint-every", "100000"]
    process = subprocess.Popen([sys.executable, "-m", "grokviz.cli", "train", *flags], stderr=subprocess.PIPE)
    try:
        history = in_tmp_path / "long" / "history.csv"
        deadline = time.monotonic() + 120
        while not (history.exists() and history.read_text().count("\n") > 5):
            assert time.monotonic() < deadline, "no rows in the history"
            assert process.poll() is None
            time.sleep(0.2)
        assert grokviz.open_run("long").history.sizes["epoch"] >= 4
        assert grokviz.open_run("long").status == "training"
    finally:
        process.kill()
        process.communicate()


def test_a_reader_that_goes_away_ends_it_in_silence(tiny_run: grokviz.Run) -> None:
    for words in (["measurements", str(tiny_run.directory), "--csv"], ["check", str(tiny_run.directory)], ["--help"]):
        command = [sys.executable, "-m", "grokviz.cli", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            child.stdout.close()
            assert child.stderr.read() == ""
        assert child.returncode in (141, 0)  # 0 where nothing is left to be flushed
