"""The arguments of a command, from its dataclass, by tyro; and the completion script."""

import io
import re
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Annotated, Any, TypeVar, Union, cast

import tyro
from tyro.conf import OmitArgPrefixes

from grokviz.cli.table import Command
from grokviz.errors import GrokvizError

Arguments = TypeVar("Arguments")


def parsed(
    command: Command, kind: type[Arguments], arguments: Sequence[str], *, preset_note: str = "", default: Any = None
) -> Arguments:
    """The arguments of `command` as `kind`. A command that takes a PRESET, which tyro does not know of, comes with a note on it.

    tyro draws its complaints as a box of several lines; here they become the one line of a `GrokvizError`.

    Raises:
        GrokvizError: they cannot be read.
    """
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            return tyro.cli(
                kind,
                prog=f"grokviz {command.usage if preset_note else command.name}",
                description=f"{command.summary} {preset_note}".strip(),
                args=list(arguments),
                default=tyro.MISSING_NONPROP if default is None else default,
                config=(OmitArgPrefixes,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise GrokvizError(f"{_one_line(complaint.getvalue())}; see: grokviz {command.name} --help") from None


def print_completion(shell: str, kinds: Sequence[tuple[Command, type]]) -> None:
    """Print the script that completes commands and flags in `shell`, which may be bash or zsh."""
    branches = tuple(
        Annotated[kind, tyro.conf.subcommand(command.name, description=command.summary, prefix_name=False)]
        for command, kind in kinds
    )
    try:
        tyro.cli(
            cast(Any, Union[branches]),  # noqa: UP007 - its members are not known before
            prog="grokviz",
            args=["--tyro-print-completion", shell],
            config=(OmitArgPrefixes,),
        )
    except SystemExit as stop:
        if stop.code:
            raise


def _one_line(box: str) -> str:
    """What stands in the box above its first rule."""
    lines = [line.strip("│ ") for line in box.splitlines() if not line.startswith(("╭", "╰"))]
    message = " ".join(lines).split("───")[0]
    return re.sub(r"\s+", " ", message).strip(" .") or "the arguments cannot be read"
