"""grokviz: train, measure and see grokking.

    run = grokviz.train(grokviz.preset("quick"), "runs/quick", resume=True)     # train, with checkpoints
    measurements = grokviz.measure(run)                            # every measure at every checkpoint
    grokviz.figures.losses(measurements).show()                    # interactive figures
    grokviz.write_report(run)                                      # all of it as one offline page

Names are imported when they are first used, so that `import grokviz` is instant.
"""

from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grokviz import figures as figures
    from grokviz.analysis.claims.group import read_group as read_group
    from grokviz.analysis.claims.verifying import verify as verify
    from grokviz.analysis.reading.against import table_against as table_against
    from grokviz.analysis.reading.algorithm import algorithm as algorithm
    from grokviz.analysis.reading.compared import compare as compare
    from grokviz.analysis.reading.derived import harmonics_of_keys as harmonics_of_keys
    from grokviz.analysis.reading.derived import key_frequencies_of as key_frequencies_of
    from grokviz.analysis.reading.evidence import key_evidence as key_evidence
    from grokviz.analysis.reading.joined import concat as concat
    from grokviz.analysis.reading.joined import select_run as select_run
    from grokviz.analysis.reading.phases import find_phases as find_phases
    from grokviz.analysis.reading.scalars import scalars as scalars
    from grokviz.analysis.reading.sufficient import smallest_sets as smallest_sets
    from grokviz.analysis.reading.superposed import superposition as superposition
    from grokviz.analysis.taking import interventions as interventions
    from grokviz.analysis.taking import measures as measures
    from grokviz.analysis.taking import operators as operators
    from grokviz.analysis.taking.ablating import ablate as ablate
    from grokviz.analysis.taking.circuit import subsets as subsets
    from grokviz.analysis.taking.circuit import sufficiency as sufficiency
    from grokviz.analysis.taking.measures import MEASURES as MEASURES
    from grokviz.analysis.taking.measuring import measure as measure
    from grokviz.analysis.taking.measuring import measure_model as measure_model
    from grokviz.analysis.taking.needs import needs as needs
    from grokviz.analysis.taking.snapshot import Snapshot as Snapshot
    from grokviz.analysis.taking.snapshot import take_snapshot as take_snapshot
    from grokviz.analysis.taking.sources import Source as Source
    from grokviz.config import ModelConfig as ModelConfig
    from grokviz.config import RunConfig as RunConfig
    from grokviz.config import TaskConfig as TaskConfig
    from grokviz.config import TrainingConfig as TrainingConfig
    from grokviz.config.presets import PRESETS as PRESETS
    from grokviz.config.presets import preset as preset
    from grokviz.errors import DamagedError as DamagedError
    from grokviz.errors import DiskError as DiskError
    from grokviz.errors import GrokvizError as GrokvizError
    from grokviz.errors import GrokvizWarning as GrokvizWarning
    from grokviz.errors import Interrupted as Interrupted
    from grokviz.errors import InUseError as InUseError
    from grokviz.errors import LackingError as LackingError
    from grokviz.errors import NoRunError as NoRunError
    from grokviz.exporting.export import export_run as export_run
    from grokviz.importing.options import ImportOptions as ImportOptions
    from grokviz.importing.run import import_run as import_run
    from grokviz.monitoring.monitor import Monitor as Monitor
    from grokviz.outcomes import OUTCOMES as OUTCOMES
    from grokviz.pipeline import repair_run as repair_run
    from grokviz.pipeline import run as run
    from grokviz.report import write_comparison as write_comparison
    from grokviz.report import write_report as write_report
    from grokviz.serving.watching import watch as watch
    from grokviz.store import Run as Run
    from grokviz.store import check_run as check_run
    from grokviz.store import open_run as open_run
    from grokviz.studies.opened import open_study as open_study
    from grokviz.studies.study import Study as Study
    from grokviz.studies.work import run_study as run_study
    from grokviz.training import trackers as trackers
    from grokviz.training.resuming import resume as resume
    from grokviz.training.starting import train as train

_HOME = {
    "DamagedError": "grokviz.errors",
    "DiskError": "grokviz.errors",
    "GrokvizError": "grokviz.errors",
    "GrokvizWarning": "grokviz.errors",
    "ImportOptions": "grokviz.importing.options",
    "InUseError": "grokviz.errors",
    "Interrupted": "grokviz.errors",
    "LackingError": "grokviz.errors",
    "MEASURES": "grokviz.analysis.taking.measures",
    "ModelConfig": "grokviz.config",
    "Monitor": "grokviz.monitoring.monitor",
    "NoRunError": "grokviz.errors",
    "OUTCOMES": "grokviz.outcomes",
    "PRESETS": "grokviz.config.presets",
    "Run": "grokviz.store",
    "RunConfig": "grokviz.config",
    "Snapshot": "grokviz.analysis.taking.snapshot",
    "Source": "grokviz.analysis.taking.sources",
    "Study": "grokviz.studies.study",
    "TaskConfig": "grokviz.config",
    "TrainingConfig": "grokviz.config",
    "ablate": "grokviz.analysis.taking.ablating",
    "algorithm": "grokviz.analysis.reading.algorithm",
    "check_run": "grokviz.store",
    "compare": "grokviz.analysis.reading.compared",
    "concat": "grokviz.analysis.reading.joined",
    "export_run": "grokviz.exporting.export",
    "find_phases": "grokviz.analysis.reading.phases",
    "harmonics_of_keys": "grokviz.analysis.reading.derived",
    "import_run": "grokviz.importing.run",
    "key_evidence": "grokviz.analysis.reading.evidence",
    "key_frequencies_of": "grokviz.analysis.reading.derived",
    "measure": "grokviz.analysis.taking.measuring",
    "measure_model": "grokviz.analysis.taking.measuring",
    "needs": "grokviz.analysis.taking.needs",
    "open_run": "grokviz.store",
    "open_study": "grokviz.studies.opened",
    "preset": "grokviz.config.presets",
    "read_group": "grokviz.analysis.claims.group",
    "repair_run": "grokviz.pipeline",
    "resume": "grokviz.training.resuming",
    "run": "grokviz.pipeline",
    "run_study": "grokviz.studies.work",
    "scalars": "grokviz.analysis.reading.scalars",
    "select_run": "grokviz.analysis.reading.joined",
    "smallest_sets": "grokviz.analysis.reading.sufficient",
    "subsets": "grokviz.analysis.taking.circuit",
    "sufficiency": "grokviz.analysis.taking.circuit",
    "superposition": "grokviz.analysis.reading.superposed",
    "table_against": "grokviz.analysis.reading.against",
    "take_snapshot": "grokviz.analysis.taking.snapshot",
    "train": "grokviz.training.starting",
    "verify": "grokviz.analysis.claims.verifying",
    "watch": "grokviz.serving.watching",
    "write_comparison": "grokviz.report",
    "write_report": "grokviz.report",
}

_SUBPACKAGES = {
    "figures": "grokviz.figures",
    "interventions": "grokviz.analysis.taking.interventions",
    "measures": "grokviz.analysis.taking.measures",
    "operators": "grokviz.analysis.taking.operators",
    "trackers": "grokviz.training.trackers",
}

__all__ = [*_HOME, *_SUBPACKAGES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(_SUBPACKAGES[name])
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name == "__version__":
        return version("grokviz")
    near = get_close_matches(name, __all__, n=1)
    raise AttributeError(f"module 'grokviz' has no attribute {name!r}" + (f"; did you mean {near[0]}?" if near else ""))


def __dir__() -> list[str]:
    return __all__
