"""Write docs/ledger.md: the published values that grokviz reproduces, with how near it comes. `make ledger FILES=../shared/data`.

The networks carry no licence to be passed on, so they are not in the project; whoever has them can run this.
"""

import json
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import grokviz
from grokviz.analysis.claims.verifying import Checked

HEAD = """# Published values that grokviz reproduces

Written by `make ledger` from the networks themselves; each was imported from its weights alone, its task and split were
found ([networks of others](importing.md)), and every published value held against ours with `grokviz verify`. Differences are
relative. Beside them stand the 20 losses that the notebook printed: [the notebook's run](notebook.md).

"""


def main(data: Path) -> None:
    """Write the ledger from the published files in `data`."""
    warnings.simplefilter("ignore")
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for published in (data / "rep_theory_C113_seed2", *sorted((data / "universality").iterdir())):
            parts += _universality(published, Path(folder) / published.name)
        parts += _progress_measures(data / "progress_measures", Path(folder) / "progress")
    (Path(__file__).parents[1] / "docs" / "ledger.md").write_text(HEAD + "\n".join(parts) + "\n")


def _universality(published: Path, directory: Path) -> Iterator[str]:
    run = grokviz.import_run(published / "model.pt", directory, progress=False)
    verification = grokviz.verify(run, published / "summary_metrics.json")
    network = run.config.blueprint.architecture.said
    yield f"## A toy model of universality (Chughtai, Chan & Nanda 2023): {published.name}\n"
    yield f"{run.config.task.task.law.said}, {network}.\n"
    yield from _found(run)
    yield f"\n{len(verification.rows)} values in `summary_metrics.json`: {verification}.\n"
    yield "| value | number | published | ours | largest difference |\n|---|---|---|---|---|"
    kinds: dict[str, list[Checked]] = {}
    for row in verification.of("agrees"):
        kinds.setdefault(re.sub(r"\d+", "K", row.claim.name), []).append(row)
    for name, rows in kinds.items():
        largest = max(rows, key=lambda row: abs(row.claim.value))
        # Cosines of unused frequencies are rounding, of which a relative difference says nothing.
        difference = max(abs(row.difference or 0) for row in rows if abs(row.claim.value) > 1e-5 or len(rows) == 1)
        yield f"| `{name}` | {len(rows)} | {largest.claim.value:.7g} | {largest.ours:.7g} | {difference:.1e} |"
    yield "\nOf several, the largest value is shown; differences are of those above 1e-5.\n"
    reasons = {row.why: 0 for row in verification.of("wrong in print")}
    for row in verification.of("wrong in print"):
        reasons[row.why] += 1
    yield from (f"- {number} values are wrong in print: {why}." for why, number in reasons.items())
    keys = grokviz.verify(run, published / "key_reps.txt")
    (count,) = (row for row in keys.rows if row.claim.name == "number_of_keys")
    said = ", ".join((published / "key_reps.txt").read_text().split())
    yield f"- Keys: published {said}; {count.why}. Of these claims {keys}.\n"


def _progress_measures(published: Path, directory: Path) -> Iterator[str]:
    (path,) = published.glob("*.pth")
    run = grokviz.import_run(path, directory, progress=False)
    yield "## Progress measures (Nanda et al. 2023): addition mod 113, weight decay 0.1\n"
    yield from _found(run)
    keys = grokviz.key_frequencies_of(grokviz.measure(run, progress=False))
    yield f"- Key frequencies, ours: {list(keys)}.\n"


def _found(run: grokviz.Run) -> Sequence[str]:
    assert run.origin is not None
    return [f"- {name}: {text}." for name, text in run.origin.found.items()]


if __name__ == "__main__":
    if not Path(sys.argv[1]).is_dir():
        sys.exit(f"{sys.argv[1]} is not there; give the folder of the published networks: make ledger FILES=...")
    main(Path(sys.argv[1]))
    print(json.dumps({"written": "docs/ledger.md"}))
