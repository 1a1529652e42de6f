"""Random edits and truncations of every file of a run: whatever comes of them is one line, in little memory.

Some are of files as a disk may damage them, which the hashes find; some of files that the manifest vouches for, as somebody else
may have made them, which whoever reads them must see through; and some of measurements that were kept outside the run.
"""

import os
import random
import resource
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grokviz
from grokviz.store.changing import changing
from reliability import worker

CAREFUL_MEMORY = 1 << 30

COMMANDS = {
    "check": ["check", "run"],
    "measure": ["measure", "run"],
    "ablate": ["ablate", "run", "--remove", "1", "--controls", "1"],
    "report": ["report", "run"],
    "figure": ["figure", "run", "losses", "-o", "losses.html"],
    "compare": ["compare", "run", "other", "--csv"],
    "measurements": ["measurements", "run", "--csv"],
    "outside": ["report", "run", "--measurements", "outside.nc", "--out", "outside.html"],
    "resume": ["resume", "run", "--epochs", "41"],
}


def commands(run: Path, output: Path, most_used: Path) -> None:
    """Every command that reads a run, in one process; and the memory that they took at most."""
    os.chdir(run.parent)
    for name, words in COMMANDS.items():
        said = output.with_suffix(f".{name}")
        try:
            worker.command(words, run, said)
        except SystemExit as end:
            with said.open("a") as file:
                file.write(f"exit {end.code}\n")
    most_used.write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def edited(content: bytes, rng: random.Random) -> bytes:
    """`content` cut short, with some bytes changed, taken out or put in, or a stretch of it twice."""
    place = rng.randrange(len(content) + 1)
    stretch = rng.choice((1, 2, 4, 8, 100, 5000))
    kind = rng.choice(("cut", "change", "change", "flip", "out", "in", "twice", "zero"))
    if kind == "cut":
        return content[:place]
    if kind == "flip" and content:
        place = min(place, len(content) - 1)
        return content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :]
    new = {"change": rng.randbytes(stretch), "zero": bytes(stretch), "in": rng.randbytes(stretch)}.get(kind, b"")
    new = content[place : place + stretch] * 2 if kind == "twice" else new
    return content[:place] + new + content[place + (0 if kind == "in" else stretch) :]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, tiny_run: grokviz.Run) -> Path:
    """A folder with a run that is measured, ablated and reported, another, and measurements outside of both."""
    folder = tmp_path_factory.mktemp("edited")
    for name in ("run", "other"):
        shutil.copytree(tiny_run.directory, folder / name)
    grokviz.ablate(folder / "run", grokviz.interventions.remove(1), controls=1, progress=False)
    grokviz.write_report(folder / "run", progress=False)
    shutil.copy(folder / "run" / "measurements.nc", folder / "outside.nc")
    return folder


@pytest.mark.slow
def test_random_edits_of_any_file_end_in_one_line_and_little_memory(
    measured: Path, tmp_path: Path, whole: bool, figures
) -> None:
    names = sorted(path.relative_to(measured / "run").as_posix() for path in (measured / "run").rglob("*.*"))
    names = [name for name in names if not name.endswith(".lock")]
    tried = 0

    @settings(
        max_examples=200 if whole else 3,
        deadline=None,
        derandomize=not whole,
        database=None,
    )
    @given(
        name=st.sampled_from(["outside.nc", "measurements.nc", "interventions.nc", *names]),
        vouched=st.booleans(),
        seed=st.integers(0, 10**9),
    )
    def tries(name: str, vouched: bool, seed: int) -> None:
        nonlocal tried
        tried += 1
        place = tmp_path / str(tried)
        shutil.copytree(measured, place)
        path = place / name if name == "outside.nc" else place / "run" / name
        content = edited(path.read_bytes(), random.Random(seed))
        if vouched and name not in ("outside.nc", "manifest.json", "history.csv"):
            with changing(place / "run") as change:
                change.put(name, content)
        else:
            path.write_bytes(content)
        child = worker.CONTEXT.Process(target=commands, args=(place / "run", place / "output", place / "memory"))
        child.start()
        child.join()
        assert child.exitcode == 0, (name, vouched, seed)
        for command in COMMANDS:
            said = (place / f"output.{command}").read_text()
            assert "Traceback" not in said, (name, vouched, seed, said)
            assert int(said.splitlines()[-1].removeprefix("exit ")) in (0, 1, 2, 3), said
            errors = [line for line in said.splitlines() if line.startswith("grokviz: ")]
            assert len(errors) <= 3, said  # warnings, and the error
        assert int((place / "memory").read_text()) < CAREFUL_MEMORY
        shutil.rmtree(place)

    tries()
    figures(f"{tried} random edits of files, {len(COMMANDS)} commands on each: no traceback, under 1 GB")
