"""Where an imported run comes from: the files that it was read from, and what was found in them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from grokviz.checks import plain_number, same_names, shown
from grokviz.errors import GrokvizError


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where an imported run comes from."""

    @dataclass(frozen=True)
    class File:
        """A file that was imported."""

        name: str
        size: int
        """In bytes."""
        sha256: str

    files: tuple[File, ...]
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
        names = ", ".join(file.name for file in self.files[:3])
        more = f" and {len(self.files) - 3} more" if len(self.files) > 3 else ""
        stated = ", ".join(f"{name} {value}" for name, value in self.stated.items())
        return [
            ("imported from", f"{names}{more} (SHA-256 {self.files[0].sha256[:16]}...)"),
            ("layout", self.layout),
            *self.found.items(),
            *([("its files state", f"{stated} (not checked)")] if stated else []),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The origin as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> "Origin":
        """The origin that `to_dict` wrote, or somebody else: it is checked.

        Raises:
            GrokvizError: it is none.
        """
        if isinstance(values, dict):
            values = {"epochs": [], **values}  # schema 5 had none
        same_names("origin", values, {"files", "layout", "epochs", "command", "stated", "found"})
        files, stated, found = values["files"], values["stated"], values["found"]
        if (
            not isinstance(files, list)
            or not files
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
        return cls(files=tuple(map(_file_of, files)), epochs=epochs, **made_by, stated=stated, found=found)


def _file_of(values: Any) -> Origin.File:
    same_names("a file of the origin", values, {"name", "size", "sha256"})
    size = plain_number(values["size"])
    if not isinstance(size, int) or not isinstance(values["name"], str) or not isinstance(values["sha256"], str):
        raise GrokvizError(f"a file of the origin is {shown(values)}, which no version of grokviz has written")
    return Origin.File(values["name"], size, values["sha256"])
