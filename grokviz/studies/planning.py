"""Planning a study: where it is new, on what it is computed is decided here, once; where it is there already, that stays."""

from dataclasses import replace
from pathlib import Path

from grokviz.errors import GrokvizError
from grokviz.studies.directory import PLAN_FILE, refuse_other_content
from grokviz.studies.plan import Plan, new_id, opened_plan
from grokviz.studies.study import Study


def planned(study: Study, directory: Path) -> Plan:
    """The plan of `study` in `directory`, which may hold an earlier one of it: that one's engine stays, and so do all its runs.

    Raises:
        GrokvizError: the directory holds something else, or the study of another name, or one that is computed otherwise.
    """
    refuse_other_content(directory)
    if not (directory / PLAN_FILE).exists():
        from grokviz.studies.computing import (  # here, so that what only reads needs no torch
            computed_by,
            decided_engine,
        )

        study = replace(study, engine=decided_engine(study))
        return Plan(directory, study, computed_by(study.cells[0].config.known_training), new_id())
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
    return Plan(directory, replace(study, engine=before.study.engine), before.computed, before.id)
