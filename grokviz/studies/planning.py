"""Planning a study: where it is new, on what it is computed is decided here, once; where it is there already, that stays."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from grokviz.errors import GrokvizError
from grokviz.studies.directory import PLAN_FILE, only_planner, refuse_other_content
from grokviz.studies.plan import Plan, keep_plan, new_id, opened_plan
from grokviz.studies.study import Moment, Study


def planned_and_kept(study: Study | None, directory: Path, *, keep: Sequence[Moment] | None = None) -> Plan:
    """The plan of `study` in `directory`, written there: that of the study which is there, if none is given. With `keep`, the
    checkpoints of other moments stay. Of several processes that plan at once all have the same plan.

    Raises:
        GrokvizError: as `planned` does, or there is no study.
    """
    refuse_other_content(directory)
    if study is None:
        opened_plan(directory)  # refused before anything is made there
    with only_planner(directory):
        plan = opened_plan(directory) if study is None else planned(study, directory)
        if keep is not None:
            plan = replace(plan, study=replace(plan.study, keep=keep))
        keep_plan(plan)
    return plan


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
