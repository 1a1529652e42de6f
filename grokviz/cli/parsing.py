"""The arguments of a command, from its dataclass, by tyro; and the completion script."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from itertools import zip_longest
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_type_hints

import tyro
from tyro.conf import AvoidSubcommands, OmitArgPrefixes
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from grokviz.cli.table import Command
from grokviz.config import SPLITS, Operation, Split
from grokviz.config.presets import PRESETS
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
                config=(OmitArgPrefixes, AvoidSubcommands),
                registry=_registry(),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        said = _one_line(complaint.getvalue())
        hint = _hint(said, kind, command)
        see = f"{' See' if hint.endswith('?') else '; see'}: grokviz {command.name} --help"
        raise GrokvizError(f"{said}{hint}{see}") from None


def flag_value(flag: str, arguments: Sequence[str]) -> str | None:
    """The value that a flag has, the last if it is there twice; None where it has none."""
    found = None
    for word, following in zip_longest(arguments, arguments[1:]):
        if word == flag:
            found = following
        elif word.startswith(f"{flag}="):
            found = word.removeprefix(f"{flag}=")
    return found


def print_completion(shell: str, kinds: Sequence[tuple[Command, type]], defaults: Mapping[type, Any]) -> None:
    """Print the script that completes commands and flags in `shell`, which may be bash or zsh; some kinds of arguments have a
    default.
    """
    branches = tuple(
        Annotated[
            kind,
            tyro.conf.subcommand(
                command.name,
                description=command.summary,
                prefix_name=False,
                default=defaults.get(kind, tyro.MISSING_NONPROP),
            ),
        ]
        for command, kind in kinds
    )
    try:
        tyro.cli(
            cast(Any, Union[branches]),  # noqa: UP007 - its members are not known before
            prog="grokviz",
            args=["--tyro-print-completion", shell],
            config=(OmitArgPrefixes, AvoidSubcommands),
            registry=_registry(),
        )
    except SystemExit as stop:
        if stop.code:
            raise


def _registry() -> ConstructorRegistry:
    """What tyro cannot know: what is typed as a word, though in Python it may also be something else."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def operation(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        return _word("STR") if info.type in (Operation, Operation | None) else None

    @registry.primitive_rule
    def split(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        return _word(f"{{{','.join(SPLITS)}}}") if info.type == Split else None

    return registry


def _word(metavar: str) -> PrimitiveConstructorSpec[Any]:
    """A word, which whoever takes it checks."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: words[0],
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(value)],
    )


def _one_line(box: str) -> str:
    """What stands in the box between the rule of its title and the next: signs of a box, or dashes where there are none."""
    parts = re.split("[─-]{3,}", box)
    message = re.sub(r"[│╮\s]+", " ", parts[1] if len(parts) > 1 else box)
    return message.strip(" .") or "the arguments cannot be read"


def _hint(said: str, kind: type, command: Command) -> str:
    """The flag that was probably meant, where one is unknown; or where a preset belongs."""
    unknown = said.removeprefix("Unrecognized options: ").split(", ")
    if unknown == [said]:
        return ""
    if presets := [word for word in unknown if word in PRESETS and "[PRESET]" in command.usage]:
        return f"; PRESET comes first: grokviz {command.name} {presets[0]} ..."
    flags = sorted(set(_flags(kind)))
    near = [flag for word in unknown if word.startswith("--") for flag in _near(word.split("=")[0], flags)]
    return f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""


def _near(word: str, flags: Sequence[str]) -> list[str]:
    """The flags that `word` abbreviates, as --wd does --weight-decay, or else those that look like it."""
    word = word.replace("_", "-")
    abbreviated = [
        flag for flag in flags if word[2:] == "".join(part[0] for part in flag[2:].split("-")) or flag.startswith(word)
    ]
    return abbreviated or get_close_matches(word, flags, n=1)


def _flags(kind: type) -> Iterator[str]:
    for part, hint in ((part, get_type_hints(kind)[part.name]) for part in fields(cast(Any, kind))):
        section = next((part for part in (hint, *get_args(hint)) if is_dataclass(part)), None)
        if section is not None and hint != Split:
            yield from _flags(cast(type, section))
        else:
            yield f"--{part.name.replace('_', '-')}"
