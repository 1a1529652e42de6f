"""The plan of a study: its cells, and on what all of them are computed, decided once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grokviz.errors import GrokvizError
from grokviz.studies.cells import Cell
from grokviz.studies.directory import read_plan, refuse_other_content, write_plan
from grokviz.studies.study import Study


@dataclass(frozen=True)
class Plan:
    """A study in its directory."""

    directory: Path
    study: Study
    """Its engine is the one that was decided on."""
    computed: Mapping[str, Any]
    """On what its runs are computed: engine, processor and versions, on which the last bits depend."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Its cells."""
        return self.study.cells


def opened_plan(directory: Path) -> Plan:
    """The plan of the study in `directory`, as it was written last.

    Raises:
        GrokvizError: there is none.
    """
    values = read_plan(directory)
    try:
        return Plan(directory, Study.from_dict(values["study"]), values["computed"])
    except (KeyError, TypeError) as error:
        raise GrokvizError(
            f"{directory} is not the plan of a study ({error!r:.80}); grokviz did not write it"
        ) from error


def planned(study: Study, directory: Path) -> Plan:
    """The plan of `study` in `directory`, which may hold an earlier one of it: that one's engine stays, and so do all its runs.

    Raises:
        GrokvizError: the directory holds something else, or the study of another name, or one that is computed otherwise.
    """
    refuse_other_content(directory)
    if not (directory / "study.json").exists():
        from grokviz.studies.computing import (  # here, so that what only reads needs no torch
            computed_by,
            decided_engine,
        )

        study = replace(study, engine=decided_engine(study))
        return Plan(directory, study, computed_by(study))
    before = opened_plan(directory)
    if before.study.name != study.name:
        raise GrokvizError(
            f"{directory} holds the study {before.study.name!r}, and not {study.name!r}; choose another directory, or call the "
            f"study so (name = {before.study.name!r})"
        )
    for name in ("engine", "device", "threads"):
        there, asked = getattr(before.study, name), getattr(study, name)
        if asked != there and not (name == "engine" and asked == "auto"):
            raise GrokvizError(
                f"{directory} is computed with {name} {there}, and not {asked}, which is one for a study; leave it so, or choose "
                "another directory"
            )
    return Plan(directory, replace(study, engine=before.study.engine), before.computed)


def keep_plan(plan: Plan) -> None:
    """Write the plan into its directory."""
    write_plan(plan.directory, {"study": plan.study.to_dict(), "computed": dict(plan.computed)})
