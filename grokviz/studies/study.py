"""A study: which configurations are trained, said by a base, by fields that are set, and by axes over fields.

    base = "quick"
    set.training.epochs = 16000
    axes."training.weight_decay" = [0.3, 1, 3]
    axes."task.split_seed" = "0..2"

Axes are crossed; those of a `pair` are walked together. Where one crossing is not enough there are several `[[block]]`s: what
stands at the top holds in each, and a block adds to it and overrides it.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, cast

from grokviz.analysis.reading.moments import At, refuse_no_moment
from grokviz.checks import as_path, choose, one_of, shown
from grokviz.config import SECTIONS, WHERE, EngineName, RunConfig
from grokviz.config.presets import preset
from grokviz.errors import GrokvizError
from grokviz.measured import AXES_OF_MEASURES
from grokviz.studies.cells import NOT_HASHED, Cell, place_in_words

MOST_CELLS = 100_000
GEOMETRIC_UNTIL = 100_000
"""The epoch up to which geometric checkpoints are spaced in a study, so that they do not depend on how long its runs are."""

Value = str | int | float | bool | tuple[Any, ...] | None
Moment = Literal["all"] | At
"""Whose checkpoints stay: all, or those of a moment."""

_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_FILE_FIELDS = ("name", "base", "set", "axes", "pair", "block", "measures", "keep", "engine", "device", "threads")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A crossing of axes."""

    set: Mapping[str, Value] = field(default_factory=dict)
    """Fields that have one value, by section and name: `training.epochs`."""
    axes: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    """Fields that have several, each with these."""
    pair: Sequence[Sequence[str]] = ()
    """Axes that are walked together, not crossed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", {name: _values(name, given) for name, given in self.axes.items()})
        object.__setattr__(self, "pair", tuple(tuple(names) for names in self.pair))

    def over(self, base: "Block") -> "Block":
        """This block, with what `base` says beside it."""
        own = {*self.set, *self.axes}
        pairs = [[name for name in names if name not in self.set] for names in base.pair]
        return Block(
            set={**{name: value for name, value in base.set.items() if name not in own}, **self.set},
            axes={**{name: values for name, values in base.axes.items() if name not in own}, **self.axes},
            pair=(*(tuple(names) for names in pairs if len(names) > 1), *self.pair),
        )


@dataclass(frozen=True, kw_only=True)
class Study:
    """Many runs as one object: what is trained, what is measured of it, and what is kept.

    Raises:
        GrokvizError: a field does not exist, a cell is no configuration, or two cells are the same; the message names it.
    """

    name: str
    """What it is called: a directory holds the study of one name."""
    base: str = "default"
    """The preset from which cells differ."""
    set: Mapping[str, Value] = field(default_factory=dict)
    axes: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    pair: Sequence[Sequence[str]] = ()
    blocks: Sequence[Block] = ()
    """Several crossings, each with what stands above beside it; one, of what stands above alone, if there are none."""
    measures: Sequence[str] = ()
    """The names of the measures that are taken at every checkpoint; all, if none are named."""
    keep: Sequence[Moment] = ("all",)
    """The moments whose checkpoints stay once measured: 'first', 'last', an epoch, 'grokked', ('grokked', 1.15); or 'all'."""
    engine: EngineName = "auto"
    """What computes all runs; 'auto' is decided once, by whoever plans."""
    device: str = "cpu"
    threads: int = 1
    """Threads of torch in each run."""

    def __post_init__(self) -> None:
        _refuse_no_name(self.name)
        preset(self.base)
        for name in self.measures:
            one_of("measures", name, AXES_OF_MEASURES)
        top = Block(set=self.set, axes=self.axes, pair=self.pair)
        object.__setattr__(self, "axes", top.axes)
        object.__setattr__(self, "pair", top.pair)
        object.__setattr__(self, "blocks", tuple(self.blocks))
        object.__setattr__(self, "measures", tuple(self.measures))
        object.__setattr__(self, "keep", tuple(_moment(each) for each in self.keep))
        object.__setattr__(self, "cells", tuple(_cells(self)))

    cells: tuple[Cell, ...] = field(init=False, repr=False, compare=False)
    """All of its cells, in the order of the blocks and of the axes in each."""

    @classmethod
    def from_file(cls, file: str | Path) -> "Study":
        """The study that a TOML file describes; it is called as the file, unless it says otherwise.

        Raises:
            GrokvizError: it cannot be read, or describes none.
        """
        path = as_path("file", file)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise GrokvizError(f"{path} cannot be read ({error.strerror}); give the TOML file of a study") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise GrokvizError(f"{path} is no TOML file ({error})") from error
        try:
            return cls.from_dict({"name": path.stem, **values})
        except GrokvizError as error:
            raise GrokvizError(f"{path}: {error}") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Study":
        """The study that a file's content, or `to_dict`, says."""
        _refuse_unknown("a study", values, _FILE_FIELDS)
        blocks = values.get("block", [])
        if not isinstance(blocks, list):
            raise GrokvizError(f"block is {shown(blocks)}, but blocks are written as [[block]]")
        top = _block("the study", values)
        rest = {
            name: values[name]
            for name in _FILE_FIELDS
            if name in values and name not in ("set", "axes", "pair", "block")
        }
        parts = tuple(_block(f"block {i}", block) for i, block in enumerate(blocks, start=1))
        for i, block in enumerate(blocks, start=1):
            _refuse_unknown(f"block {i}", block, ("set", "axes", "pair"))
        return cls(**rest, set=top.set, axes=top.axes, pair=top.pair, blocks=parts)

    def to_dict(self) -> dict[str, Any]:
        """The study as plain values: what a file would say."""
        parts = {
            "set": dict(self.set),
            "axes": {k: list(v) for k, v in self.axes.items()},
            "pair": [list(p) for p in self.pair],
        }
        blocks = [
            {"set": dict(b.set), "axes": {k: list(v) for k, v in b.axes.items()}, "pair": [list(p) for p in b.pair]}
            for b in self.blocks
        ]
        own = {name: getattr(self, name) for name in ("name", "base", "engine", "device", "threads")}
        return {**own, "measures": list(self.measures), "keep": list(self.keep), **parts, "block": blocks}

    @property
    def axis_names(self) -> tuple[str, ...]:
        """All fields over which there is an axis in any block."""
        return tuple(dict.fromkeys(name for cell in self.cells for name in cell.place))


def _cells(study: Study) -> Iterator[Cell]:
    top = Block(set=study.set, axes=study.axes, pair=study.pair)
    seen: dict[str, Cell] = {}
    for number_of_block, block in enumerate(study.blocks or [Block()]):
        merged = block.over(top)
        where = f"block {number_of_block + 1}: " if study.blocks else ""
        _refuse_senseless(merged, where)
        for place in _places(merged, where):
            cell = _cell(study, merged, place, where)
            same = seen.get(cell.id)
            if same == cell:
                continue
            if same is not None:
                raise GrokvizError(
                    f"{where}the cells {same.said} and {cell.said} are the same run, whatever its length; let it "
                    "be in the study once"
                )
            seen[cell.id] = cell
            if len(seen) > MOST_CELLS:
                raise GrokvizError(f"the study has more than {MOST_CELLS:,} cells; cross fewer axes")
            yield cell


def _places(block: Block, where: str) -> Iterator[dict[str, Value]]:
    """The values of all axes in each cell of a block."""
    together = {name: tuple(names) for names in block.pair for name in names}
    groups = list(dict.fromkeys(together.get(name, (name,)) for name in block.axes))
    for names in groups:
        lengths = {name: len(block.axes[name]) for name in names}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise GrokvizError(f"{where}axes of a pair are walked together, but {said}; give each as many values")
    for chosen in product(*(list(zip(*(block.axes[name] for name in names), strict=True)) for names in groups)):
        yield {
            name: value
            for names, values in zip(groups, chosen, strict=True)
            for name, value in zip(names, values, strict=True)
        }


def _cell(study: Study, block: Block, place: Mapping[str, Value], where: str) -> Cell:
    given = {"training.geometric_until": GEOMETRIC_UNTIL, **block.set, **place}
    try:
        operation, architecture = (cast(Any, given.get(name)) for name in ("task.operation", "model.architecture"))
        base = preset(study.base, operation=operation, architecture=architecture)
        parts = {
            section: replace(
                getattr(base, section),
                **{name.split(".")[1]: value for name, value in given.items() if name.split(".")[0] == section},
            )
            for section in SECTIONS
        }
        config = RunConfig(**parts).with_training(engine=study.engine, device=study.device, threads=study.threads)
    except GrokvizError as error:
        raise GrokvizError(f"{where}the cell {place_in_words(place)} is no configuration: {error}") from error
    training = config.known_training
    for name, every in (("epochs", "checkpoint_every"), ("epochs", "test_every"), ("stop_after", "test_every")):
        value, step = getattr(training, name), getattr(training, every)
        if value is not None and value % step:
            raise GrokvizError(
                f"{where}the cell {place_in_words(place)} has {name} {value:,}, but in a study it must be a multiple of {every} "
                f"({step:,}): what is kept and evaluated does not depend on where runs end"
            )
    if config.task.split == "unknown" or config.model.initialisation == "unknown":
        raise GrokvizError(
            f"{where}the cell {place_in_words(place)} cannot be trained: its split or initialisation is unknown"
        )
    return Cell(place=dict(place), config=config)


def _refuse_senseless(block: Block, where: str) -> None:
    """Refuse fields that do not exist or that no axis may have, axes without values, and pairs of what is no axis."""
    for name in (*block.set, *block.axes):
        _refuse_no_field(name, where)
    for name in block.set:
        if name in block.axes:
            raise GrokvizError(f"{where}{name} is set, and an axis too; let it be one of them")
    for name, values in block.axes.items():
        if name.removeprefix("training.") in NOT_HASHED and name.startswith("training."):
            raise GrokvizError(
                f"{where}an axis over {name} is none between runs: a longer run is the same run gone on with, and where it is "
                "computed is one for a study; set it"
            )
        if not values:
            raise GrokvizError(f"{where}the axis {name} has no values")
        if len({repr(value) for value in values}) < len(values):
            raise GrokvizError(f"{where}the axis {name} has a value twice: {shown(list(values))}")
    for name in block.set:
        if name.removeprefix("training.") in WHERE and name.startswith("training."):
            raise GrokvizError(
                f"{where}{name} is one for a study: write {name.removeprefix('training.')} = ... at the top of it"
            )
    together = [name for names in block.pair for name in names]
    for name in together:
        if name not in block.axes:
            raise GrokvizError(f"{where}a pair names {name!r}, which is no axis; {choose(name, block.axes)}")
        if together.count(name) > 1:
            raise GrokvizError(f"{where}{name} is in two pairs; walk it with one")


def _refuse_no_field(name: str, where: str) -> None:
    section, _, rest = name.partition(".")
    names = [f"{s}.{part.name}" for s, cls in SECTIONS.items() for part in fields(cast(Any, cls))]
    if name not in names:
        near = [full for full in names if full.split(".")[1] == (rest or section)]
        said = f"did you mean {near[0]}?" if near else choose(name, names)
        raise GrokvizError(f"{where}{name!r} is no field of a configuration; {said}")


def _block(what: str, values: Any) -> Block:
    if not isinstance(values, Mapping):
        raise GrokvizError(f"{what} is {shown(values)}, but must be a table")
    axes = dict(_flat(what, "axes", values.get("axes", {})))
    pair = values.get("pair", [])
    if not isinstance(pair, Sequence) or isinstance(pair, str) or not all(_are_names(names) for names in pair):
        raise GrokvizError(
            f'pair is {shown(pair)}, but must be lists of axes, such as [["task.split_seed", "model.seed"]]'
        )
    return Block(
        set=dict(_flat(what, "set", values.get("set", {}))),
        axes=axes,
        pair=pair,
    )


def _are_names(names: Any) -> bool:
    return isinstance(names, list | tuple) and len(names) > 1 and all(isinstance(name, str) for name in names)


def _flat(what: str, part: str, values: Any) -> Iterator[tuple[str, Any]]:
    """Fields by section and name, whether written as `training.epochs` or as a table in a table."""
    if not isinstance(values, Mapping):
        raise GrokvizError(f"{part} of {what} is {shown(values)}, but must be a table of fields")
    for name, value in values.items():
        if isinstance(value, Mapping):
            for inner, inside in value.items():
                yield f"{name}.{inner}", inside
        else:
            yield name, value


def _values(name: str, given: Any) -> tuple[Value, ...]:
    """The values of an axis: a list, or whole numbers as 'first..last'."""
    if isinstance(given, str) and (match := _RANGE.fullmatch(given)):
        first, last = int(match[1]), int(match[2])
        if last < first or last - first >= MOST_CELLS:
            raise GrokvizError(f"the axis {name} is {given!r}, but must go up, and have at most {MOST_CELLS:,} values")
        return tuple(range(first, last + 1))
    if isinstance(given, list | tuple):
        return tuple(tuple(value) if isinstance(value, list) else value for value in given)
    raise GrokvizError(f"the axis {name} is {shown(given)}, but must be a list, or whole numbers as '0..9'")


def _moment(given: Any) -> Moment:
    if isinstance(given, str) and given == "all":
        return "all"
    try:
        refuse_no_moment(given)
    except GrokvizError as error:
        raise GrokvizError(
            f"keep names {shown(given)}, but must name 'all', 'first', 'last', an epoch, 'grokked', or ['grokked', 1.15]"
        ) from error
    if isinstance(given, list | tuple):
        return given[0], float(given[1])
    return cast(At, given if isinstance(given, str) else int(given))


def _refuse_no_name(name: Any) -> None:
    if not isinstance(name, str) or not name.strip():
        raise GrokvizError(f"name is {shown(name)}, but must be a text")


def _refuse_unknown(what: str, values: Any, known: Sequence[str]) -> None:
    for name in values:
        if name not in known:
            raise GrokvizError(f"{what} has no field {name!r}; {choose(name, known, most=len(known))}")
