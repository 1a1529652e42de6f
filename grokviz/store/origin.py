"""Where a run comes from that grokviz did not train: the files that it was imported from, or the loop of somebody's own that a
Monitor followed; and what was found of the network.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from grokviz.checks import plain_number, same_names, shown
from grokviz.errors import GrokvizError


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a run comes from that grokviz did not train: from files, or from a loop of somebody's own."""

    @dataclass(frozen=True)
    class File:
        """A file that was imported."""

        name: str
        size: int
        """In bytes."""
        sha256: str

    @dataclass(frozen=True, kw_only=True)
    class Loop:
        """A training loop of somebody's own, from which a Monitor wrote the run."""

        module: str
        """Class of the module that was trained."""
        every: int
        """Steps between regular checkpoints."""
        steps: int | None = None
        """Number of steps that were planned; None where that was not said."""

        def again(self, directory: Path) -> str:
            """What to do where the loop of the run in `directory` was ended before its end."""
            return f"start its loop again, with grokviz.Monitor({str(directory)!r}, ..., resume=True)"

    files: tuple[File, ...] = ()
    """The files that were imported; none of a loop."""
    loop: Loop | None = None
    layout: str
    """In which layout the weights were, in words."""
    epochs: tuple[int, ...] = ()
    """The epochs of its networks: it is complete when there is a checkpoint of each."""
    command: str = ""
    """The command that imports them so."""
    stated: Mapping[str, Any] = field(default_factory=dict)
    """What the files themselves say of the training, as they say it; it has not been checked."""
    found: Mapping[str, str] = field(default_factory=dict)
    """What was found, line by line: what each is about, and a sentence."""

    def lines(self) -> list[tuple[str, str]]:
        """All of it in words, line by line."""
        stated = ", ".join(f"{name} {value}" for name, value in self.stated.items())
        stating = (
            [("its owner states" if self.loop else "its files state", f"{stated} (not checked)")] if stated else []
        )
        if self.loop:
            planned = f" of {self.loop.steps:,} steps" if self.loop.steps else ""
            by = f"a loop of its owner{planned}, followed by a Monitor; its module is {self.loop.module}"
            return [("trained by", by), ("layout", self.layout), *self.found.items(), *stating]
        names = ", ".join(file.name for file in self.files[:3])
        more = f" and {len(self.files) - 3} more" if len(self.files) > 3 else ""
        return [
            ("imported from", f"{names}{more} (SHA-256 {self.files[0].sha256[:16]}...)"),
            ("layout", self.layout),
            *self.found.items(),
            *stating,
        ]

    def to_dict(self) -> dict[str, Any]:
        """The origin as plain values, for JSON."""
        values = asdict(self)
        return values if self.loop else {name: value for name, value in values.items() if name != "loop"}

    @classmethod
    def from_dict(cls, values: Any) -> "Origin":
        """The origin that `to_dict` wrote, or somebody else: it is checked.

        Raises:
            GrokvizError: it is none.
        """
        if isinstance(values, dict):
            values = {
                "epochs": [],
                "loop": None,
                **values,
            }  # schema 5 had no epochs, and only what a Monitor wrote has a loop
        same_names("origin", values, {"files", "loop", "layout", "epochs", "command", "stated", "found"})
        files, stated, found = values["files"], values["stated"], values["found"]
        if (
            not isinstance(files, list)
            or bool(files) == (values["loop"] is not None)
            or not isinstance(values["layout"], str)
            or not isinstance(values["epochs"], list)
            or not all(isinstance(epoch, int) for epoch in values["epochs"])
            or not isinstance(values["command"], str)
            or not isinstance(stated, dict)
            or not isinstance(found, dict)
            or not all(isinstance(text, str) for text in found.values())
        ):
            raise GrokvizError(f"origin is {shown(values)}, which no version of grokviz has written")
        made_by = {name: values[name] for name in ("layout", "command")}
        epochs = tuple(values["epochs"])
        loop = None if values["loop"] is None else _loop_of(values["loop"])
        return cls(files=tuple(map(_file_of, files)), loop=loop, epochs=epochs, **made_by, stated=stated, found=found)


def _loop_of(values: Any) -> Origin.Loop:
    same_names("the loop of the origin", values, {"module", "every", "steps"})
    module, every, steps = values["module"], plain_number(values["every"]), plain_number(values["steps"])
    if (
        not isinstance(module, str)
        or not isinstance(every, int)
        or isinstance(steps, float)
        or (steps is None and values["steps"] is not None)
    ):
        raise GrokvizError(f"the loop of the origin is {shown(values)}, which no version of grokviz has written")
    return Origin.Loop(module=module, every=every, steps=steps)


def _file_of(values: Any) -> Origin.File:
    same_names("a file of the origin", values, {"name", "size", "sha256"})
    size = plain_number(values["size"])
    if not isinstance(size, int) or not isinstance(values["name"], str) or not isinstance(values["sha256"], str):
        raise GrokvizError(f"a file of the origin is {shown(values)}, which no version of grokviz has written")
    return Origin.File(values["name"], size, values["sha256"])
