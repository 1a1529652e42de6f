"""What a page is made of besides its data: a template, a stylesheet, scripts."""

from collections.abc import Sequence
from importlib.resources import files

SCRIPTS = (
    "data.js",
    "embedded.js",
    "state.js",
    "draw.js",
    "computation.js",
    "network.js",
    "band.js",
    "circles.js",
    "attention.js",
    "neurons.js",
    "readouts.js",
    "experiment.js",
    "switches.js",
    "asking.js",
    "used.js",
    "allpairs.js",
    "sum.js",
    "plots.js",
    "views.js",
    "tables.js",
    "live.js",
    "main.js",
)
"""Those of a page of runs, in the order in which they need each other."""

WORKER_SCRIPTS = ("computation.js", "worker.js")
"""Those of the worker beside the page of a run, which asks its network all pairs."""

STUDY_SCRIPTS = ("data.js", "embedded.js", "state.js", "draw.js", "plots.js", "tables.js", "study.js")
"""Those of the page of a study."""


def resource(name: str) -> str:
    """The text of a file of this folder."""
    return files(__name__).joinpath(name).read_text()


def script(names: Sequence[str] = SCRIPTS) -> str:
    """Scripts as one."""
    return "\n".join(resource(name).replace('"use strict";\n', "", 1) for name in names).join(('"use strict";\n', ""))
