"""The plan of a study: its cells, and on what all of them are computed, decided once."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grokviz.errors import GrokvizError
from grokviz.studies.cells import Cell
from grokviz.studies.directory import read_plan, write_plan
from grokviz.studies.study import Study


@dataclass(frozen=True)
class Plan:
    """A study in its directory."""

    directory: Path
    study: Study
    """Its engine is the one that was decided on."""
    computed: Mapping[str, Any]
    """On what its runs are computed: engine, processor and versions, on which the last bits depend."""
    id: str
    """By what it is known from other machines, which may have another directory of the same name."""

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
        return Plan(directory, Study.from_dict(values["study"]), values["computed"], values.get("id") or new_id())
    except (KeyError, TypeError) as error:
        raise GrokvizError(
            f"{directory} is not the plan of a study ({error!r:.80}); grokviz did not write it"
        ) from error


def new_id() -> str:
    """An id that no other plan has."""
    return uuid.uuid4().hex[:16]


def keep_plan(plan: Plan) -> None:
    """Write the plan into its directory."""
    write_plan(plan.directory, {"id": plan.id, "study": plan.study.to_dict(), "computed": dict(plan.computed)})
