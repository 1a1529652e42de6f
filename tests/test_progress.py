"""Progress: seen where somebody looks, a line a minute in a log, nothing where it is not wanted."""

import io
import subprocess
import sys

import pytest

import grokviz
from grokviz.bars import SECONDS_BETWEEN_LINES, _Lines, duration, progress_of


def lines_of(seconds_a_unit: float, units: int) -> str:
    """What a log gets of work of so many units, each of which takes so long."""
    now, out = 0.0, io.StringIO()
    lines = _Lines("training x", units, "epoch", 0, out=out, clock=lambda: now)
    for _ in range(units):
        now += seconds_a_unit
        lines.set_postfix_str("test loss 1.0")
        lines.update()
    return out.getvalue()


def test_a_log_gets_a_line_a_minute_with_the_time_left_and_the_figures() -> None:
    said = lines_of(1.0, 3 * SECONDS_BETWEEN_LINES)
    assert said.splitlines() == [
        "training x: 60 of 180 epochs, about 2 min left; test loss 1.0",
        "training x: 120 of 180 epochs, about 60 s left; test loss 1.0",
        "training x: 180 of 180 epochs, about 0 s left; test loss 1.0",
    ]


def test_a_log_of_work_that_takes_less_than_a_minute_stays_empty() -> None:
    assert lines_of(0.1, 100) == ""


def test_what_was_done_before_does_not_make_the_rest_look_fast() -> None:
    now, out = 0.0, io.StringIO()
    lines = _Lines("x", 200, "epoch", 100, out=out, clock=lambda: now)
    now = 60.0
    lines.update(50)
    assert "150 of 200 epochs, about 60 s left" in out.getvalue()


def test_progress_that_is_not_wanted_prints_nothing(capsys: pytest.CaptureFixture) -> None:
    with progress_of("x", total=3, unit="epoch", shown=False) as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_of("training x", total=3, unit="epoch") as bar:
        bar.set_postfix_str("test loss 1.0")
        bar.update(3)
    assert "training x" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (99, "99 s"), (120, "2 min"), (3600, "1 h 0 min")])
def test_a_time_is_said_in_the_unit_that_matters(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.slow
def test_quiet_commands_print_nothing(tiny_run: grokviz.Run, tmp_path) -> None:
    options = "--p 23 --epochs 20 --d-model 16 --n-heads 2 --d-head 8 --d-mlp 32 --threads 1 --quiet --out mine".split()
    done = subprocess.run(
        [sys.executable, "-m", "grokviz.cli", "run", "quick", *options], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "mine" / "report.html").exists()
