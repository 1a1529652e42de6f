"""grokviz: train, measure and see grokking.

    run = grokviz.train(grokviz.preset("quick"), "runs/quick")     # train, with checkpoints
    measurements = grokviz.measure(run)                            # every measure at every checkpoint
    grokviz.figures.losses(measurements).show()                    # interactive figures
    grokviz.write_report(run)                                      # all of it as one offline page

Names are imported when they are first used, so that `import grokviz` is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grokviz import figures as figures
    from grokviz import measures as measures
    from grokviz.checking import check_run as check_run
    from grokviz.config import PRESETS as PRESETS
    from grokviz.config import ModelConfig as ModelConfig
    from grokviz.config import RunConfig as RunConfig
    from grokviz.config import TaskConfig as TaskConfig
    from grokviz.config import TrainingConfig as TrainingConfig
    from grokviz.config import preset as preset
    from grokviz.errors import GrokvizError as GrokvizError
    from grokviz.errors import GrokvizWarning as GrokvizWarning
    from grokviz.errors import Interrupted as Interrupted
    from grokviz.measures import MEASURES as MEASURES
    from grokviz.measuring import measure as measure
    from grokviz.phases import find_phases as find_phases
    from grokviz.repairing import repair_run as repair_run
    from grokviz.report import write_report as write_report
    from grokviz.run import Run as Run
    from grokviz.run import open_run as open_run
    from grokviz.snapshot import Snapshot as Snapshot
    from grokviz.snapshot import take_snapshot as take_snapshot
    from grokviz.training import resume as resume
    from grokviz.training import train as train

_HOME = {
    "MEASURES": "grokviz.measures",
    "ModelConfig": "grokviz.config",
    "PRESETS": "grokviz.config",
    "GrokvizError": "grokviz.errors",
    "GrokvizWarning": "grokviz.errors",
    "Interrupted": "grokviz.errors",
    "Run": "grokviz.run",
    "RunConfig": "grokviz.config",
    "Snapshot": "grokviz.snapshot",
    "TaskConfig": "grokviz.config",
    "TrainingConfig": "grokviz.config",
    "check_run": "grokviz.checking",
    "find_phases": "grokviz.phases",
    "measure": "grokviz.measuring",
    "open_run": "grokviz.run",
    "preset": "grokviz.config",
    "repair_run": "grokviz.repairing",
    "resume": "grokviz.training",
    "take_snapshot": "grokviz.snapshot",
    "train": "grokviz.training",
    "write_report": "grokviz.report",
}

_SUBPACKAGES = ("figures", "measures")

__all__ = [*_HOME, *_SUBPACKAGES]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"grokviz.{name}")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'grokviz' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
