"""Whether the measurements of a run are current: asked without torch, so that nobody waits for it to learn that nothing is to
be done.
"""

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import xarray as xr

from grokviz.store import Run

DEPENDS_ON = ("torch", "numpy", "xarray")
"""Packages whose versions count."""


def current_outline(run: Run) -> xr.Dataset | None:
    """The outline of the measurements of `run`, where all default measures have been taken of it as it is, by this very
    code; else None.

    None means that `grokviz.measure` has to look, which may find that nothing it depends on has changed.

    Raises:
        GrokvizError: the measurements or the newest checkpoint are damaged.
    """
    if not run.is_measured or run.is_under_way:
        return None
    outline = run.measurements_outline
    if outline.attrs.get("stamp") != stamp_of(run):
        return None
    run.weights(run.epochs[-1])  # as `grokviz.measure` does, which looks at the end for the key frequencies
    return outline


def stamp_of(run: Run) -> str:
    """The hash of all that the default measurements depend on: the run as it is, the source code and the versions.

    Coarser than the fingerprints of the measures: a comment makes it another.
    """
    manifest = run.manifest
    facts = {
        "run": [run.directory.resolve().name, run.config.to_dict(), run.status],
        "checkpoints": {str(epoch): sha256 for epoch, sha256 in run.checkpoints.items()},
        "history": [asdict(segment) for segment in manifest.history],
        "code": _source_code(),
        "versions": {name: version(name) for name in DEPENDS_ON},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


@cache
def _source_code() -> str:
    """The hash of the package's source code."""
    root = Path(str(files("grokviz")))
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        whole.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return whole.hexdigest()
