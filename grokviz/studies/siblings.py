"""The runs of a study that differ from one of them in seeds alone: over how many seeds what it shows is known. No torch."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from grokviz.config import RunConfig
from grokviz.errors import GrokvizError
from grokviz.store import Run
from grokviz.studies.cells import cell_id
from grokviz.studies.directory import run_directory
from grokviz.studies.opened import OpenedStudy
from grokviz.studies.plan import opened_plan
from grokviz.studies.planned import Planned


@dataclass(frozen=True)
class Siblings:
    """The runs that differ from one in the seeds of split, labels and initialisation alone, as far as they are done."""

    study: str
    """The name of the study."""
    outcomes: Mapping[str, int]
    """How many of them came to each outcome, that run among them where it is done."""

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.outcomes.values())


def siblings_of(run: Run) -> Siblings | None:
    """The runs of the study that a run is of which differ from it in seeds alone; None where it is of no study."""
    directory = run.directory.resolve()
    if len(directory.parents) < 2 or run_directory(directory.parents[1], directory.name) != directory:
        return None
    try:
        study = OpenedStudy(Planned(opened_plan(directory.parents[1])))
    except GrokvizError:  # no study, or a damaged one, of which its own commands tell
        return None
    return _among(study, directory.name)


def _among(study: OpenedStudy, cell: str) -> Siblings | None:
    own = next((each.config for each in study.cells if each.id == cell), None)
    if own is None:
        return None
    table = study.table
    like = [each.id for each in study.done if _apart_from_seeds(each.config) == _apart_from_seeds(own)]
    return Siblings(study.name, Counter(table.loc[like, "outcome"].tolist() if like else []))


def _apart_from_seeds(config: RunConfig) -> str:
    """What the configurations of siblings have in common, as the hash of a cell."""
    task = replace(config.task, labels_seed=None if config.task.labels_seed is None else 0)
    if task.split_seed is not None:
        task = replace(task, split_seed=0)
    return cell_id(replace(config, task=task, model=replace(config.model, seed=0)))
