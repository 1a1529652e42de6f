"""Changing a run: under the manifest's lock, all of a change or nothing of it.

The order is always the same. New files are written first; then the manifest, which names them, takes effect at once;
then the files that it no longer names go. A process killed between any two steps leaves the run as it was or as it was
to become, and some files that the manifest does not name, which the next change removes first. A file that is replaced under
its own name is announced in the manifest before, so that both contents are good in between.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from grokviz.durable import make_folder, move, remove, remove_temporaries, write_file
from grokviz.errors import GrokvizError
from grokviz.store.file_names import (
    CHECKPOINT_FOLDER,
    DAMAGED_FOLDER,
    MANIFEST_FILE,
    MOST_BYTES,
    STATE_FOLDER,
    checkpoint_name,
    is_name_in_run,
)
from grokviz.store.locks import locked
from grokviz.store.manifest import FileEntry, Manifest, read_manifest
from grokviz.store.reading import read_file
from grokviz.store.schemas import SCHEMA_VERSION

FOLDERS = (".", CHECKPOINT_FOLDER, STATE_FOLDER)


class Change:
    """A change of a run that is being made.

    A class, because it gathers what the manifest is to say. `changing` opens one and commits it.
    """

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest
        self._gone: list[str] = []

    def put(self, name: str, content: bytes | memoryview) -> None:
        """Write the file `name`, new or in the place of an older one."""
        entry = FileEntry.of(content)
        before = self.manifest.files.get(name)
        if before:
            announced = replace(self._on_disk(name, before), next=entry)
            self._write_manifest(replace(self.manifest, files={**self.manifest.files, name: announced}))
        write_file(self.directory / name, content)
        removed = {e: sha256 for e, sha256 in self.manifest.removed.items() if checkpoint_name(e) != name}
        self.manifest = replace(self.manifest, files={**self.manifest.files, name: entry}, removed=removed)

    def drop(self, name: str) -> None:
        """Let the manifest forget the file `name`; it is removed once that has taken effect."""
        self.forget(name)
        self._gone.append(name)

    def retire(self, epoch: int) -> None:
        """Drop epoch's checkpoint; the manifest goes on to say what it was."""
        name = checkpoint_name(epoch)
        retired = self.manifest.files[name].sha256
        self.drop(name)
        self.manifest = replace(self.manifest, removed=dict(sorted({**self.manifest.removed, epoch: retired}.items())))

    def set_aside(self, name: str) -> None:
        """Move the damaged file `name` into RUN/damaged, if it is there, and let the manifest forget it."""
        if (self.directory / name).exists():
            kept = free_name(self.directory / DAMAGED_FOLDER / name)
            make_folder(kept.parent)
            move(self.directory / name, kept)
        self.forget(name)

    def commit(self) -> None:
        """Let the change take effect."""
        self._write_manifest(self.manifest)
        for name in self._gone:
            remove(self.directory / name)

    def forget(self, name: str) -> None:
        """Let the manifest forget the file `name`."""
        self.manifest = replace(self.manifest, files={n: e for n, e in self.manifest.files.items() if n != name})

    def _write_manifest(self, manifest: Manifest) -> None:
        write_file(self.directory / MANIFEST_FILE, manifest.to_bytes())

    def _on_disk(self, name: str, entry: FileEntry) -> FileEntry:
        """`entry` without its announcement: a writer killed after announcing may have replaced the file, or not yet."""
        if entry.next is None:
            return entry
        content = read_file(self.directory, name, most=MOST_BYTES[name])
        return entry.next if FileEntry.of(content) == entry.next else replace(entry, next=None)


def free_name(path: Path) -> Path:
    """`path`, or with a number before its ending if there is something already: history.csv, history.2.csv, ..."""
    numbered, number = path, 1
    while numbered.exists():
        number += 1
        numbered = path.with_name(f"{path.stem}.{number}{path.suffix}")
    return numbered


@contextmanager
def changing(directory: Path) -> Iterator[Change]:
    """A change of the run in `directory`, committed when the block ends without an error.

    Raises:
        GrokvizError: the run cannot be read or written. Then nothing has changed.
    """
    with _only_changer(directory):
        for folder in FOLDERS:
            remove_temporaries(directory / folder)
        manifest = read_manifest(directory)
        _sweep(directory, manifest)
        change = Change(directory, replace(manifest, schema_version=SCHEMA_VERSION))
        yield change
        change.commit()


@contextmanager
def creating(directory: Path, *, status: str = "training") -> Iterator[Change]:
    """The change that makes the run in `directory`, where there is no manifest yet."""
    with _only_changer(directory):
        change = Change(directory, Manifest(status=status))
        yield change
        change.commit()


@contextmanager
def _only_changer(directory: Path) -> Iterator[None]:
    with locked(directory, "manifest"):
        for folder in (CHECKPOINT_FOLDER, STATE_FOLDER, DAMAGED_FOLDER):
            if (directory / folder).is_symlink():
                raise GrokvizError(
                    f"{directory / folder} is a link, and nothing is written through it; put a folder there"
                )
        yield


def _sweep(directory: Path, manifest: Manifest) -> None:
    """Remove the checkpoints and states that the manifest does not name: what a killed writer was about to add, or to
    remove.
    """
    for folder in (CHECKPOINT_FOLDER, STATE_FOLDER):
        there = (directory / folder).iterdir() if (directory / folder).is_dir() else ()
        for name in sorted(f"{folder}/{path.name}" for path in there):
            if name not in manifest.files and is_name_in_run(name):
                remove(directory / name)
