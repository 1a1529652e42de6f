"""The published bands of one network, as a study: `make bands`. It goes on where the last call ended.

    python tests/benchmarks/bands.py [--out runs/bands] [--minutes 100] [--write docs/studies.md]

p = 113, weight decay 1: 30 % of the pairs over ten seeds; 10 and 20 % of them, three seeds each, for 40,000 epochs.
"""

import argparse
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import grokviz
from grokviz.errors import GrokvizWarning
from grokviz.studies.opened import OpenedStudy
from grokviz.studies.plan import opened_plan
from grokviz.studies.survival import Times, median_time
from grokviz.studies.work import progress_of_cells

STUDY = Path(__file__).parents[2] / "examples" / "studies" / "bands.toml"
BEGIN, END = "<!-- bands: `make bands` writes from here -->", "<!-- to here -->"
PUBLISHED = {
    ("memorised", 0.3): "140 (140 to 150), ten seeds",
    ("grokked", 0.3): "7,588 (5,625 to 10,275), ten seeds",
    ("grokked", 0.2): "not within 40,000",
    ("grokked", 0.1): "not within 40,000",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bands"))
    parser.add_argument("--minutes", type=float, default=100.0, help="after so long it ends; the next call goes on")
    parser.add_argument("--write", type=Path, help="a page whose part between the two marks is replaced")
    arguments = parser.parse_args()
    work_on(arguments.out, arguments.minutes)
    text = "\n".join(lines(arguments.out))
    print(text)
    if arguments.write:
        before, rest = arguments.write.read_text().split(BEGIN)
        arguments.write.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


def work_on(out: Path, minutes: float) -> None:
    """Train and measure what is left, for so long at most."""
    words = [sys.executable, "-m", "grokviz.cli", "study", str(STUDY), "--out", str(out)]
    process = subprocess.Popen(words)
    try:
        process.wait(timeout=60 * minutes)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        process.wait()


def lines(out: Path) -> Iterator[str]:
    """How far it is; and a table, the published values beside ours."""
    states = [each.state for each in progress_of_cells(opened_plan(out))]
    study = grokviz.open_study(out)
    yield f"{states.count('done')} of {len(states)} runs are done."
    yield ""
    yield "| event | of the pairs | published, epochs | ours: median at both ends | earliest and latest | had it by the end |"
    yield "|---|---|---|---|---|---|"
    for (event, fraction), published in PUBLISHED.items():
        yield row_of(study, event, fraction, published)


def row_of(study: OpenedStudy, event: str, fraction: float, published: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GrokvizWarning)  # how many are done stands above
        table = study.table_of_done("task.train_fraction")
    arm = table[table["task.train_fraction"] == fraction]
    said = f"| {event} | {fraction:.0%} | {published} "
    if arm.empty:
        return f"{said}| no run is done | | |"
    times = Times.of(arm, event=event, horizon=study.longest)
    after, by = median_time(times)
    median = f"{after:,.0f} to {by:,.0f}" if by < float("inf") else f"not within {arm['end'].min():,.0f}"
    had = arm[f"{event}_by"][times.had]
    ends = " to ".join(dict.fromkeys(f"{end:,.0f}" for end in (had.min(), had.max()))) if len(had) else ""
    return f"{said}| {median} | {ends} | {times.had.sum()} of {len(arm)} |"


if __name__ == "__main__":
    main()
