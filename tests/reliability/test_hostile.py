"""Runs made by somebody with bad intent: each is refused in one line, in little memory, and nothing outside it is touched."""

import base64
import json
import os
import pickle
import resource
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import load, save

import grokviz
from grokviz.store.changing import changing
from grokviz.store.manifest import FileEntry, Manifest, read_manifest
from grokviz.store.schemas import SCHEMA_VERSION
from reliability import worker

CHECKPOINT = "checkpoints/epoch_000020.safetensors"
CAREFUL_MEMORY = 1 << 30
SECRET = "nobody's business"


def forge(name: str, content: bytes) -> Callable[[Path], None]:
    """Write a file with all that the manifest must say of it."""

    def forging(run: Path) -> None:
        with changing(run) as change:
            change.put(name, content)

    return forging


AGAINST = {
    **dict.fromkeys(("name", "identity", "sentence", "at"), ""),
    **{"controls": {}, "why_none": {}, "about": {"how": "keep", "labels": 7, "families": []}},
}
"""An intervention beside its controls, as a file records it, but on a number for blocks."""


def own(**changes: object) -> dict[str, object]:
    """An operation of one's own as a file records it, with changes."""
    return {"function": "somewhere:f", "source": "", "p": 7, "answers": "", **changes}


def forge_config(**changes: object) -> Callable[[Path], None]:
    """Change the configuration: `section__field=value`."""

    def forging(run: Path) -> None:
        described = json.loads((run / "config.json").read_text())
        for path, value in changes.items():
            *sections, name = path.split("__")
            place = described
            for section in sections:
                place = place[section]
            place[name] = value
        forge("config.json", json.dumps(described).encode())(run)

    return forging


def forge_manifest(**files: FileEntry) -> Callable[[Path], None]:
    def forging(run: Path) -> None:
        manifest = read_manifest(run)
        (run / "manifest.json").write_bytes(replace(manifest, files={**manifest.files, **files}).to_bytes())

    return forging


def raw_manifest(content: bytes) -> Callable[[Path], None]:
    return lambda run: (run / "manifest.json").write_bytes(content) and None


def forge_tensors(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Path], None]:
    def forging(run: Path) -> None:
        tensors = change(load((run / CHECKPOINT).read_bytes()))
        forge(CHECKPOINT, save(tensors, metadata={"epoch": "20"}))(run)

    return forging


def header(text: str, claimed: int | None = None) -> bytes:
    return (claimed or len(text)).to_bytes(8, "little") + text.encode()


def forge_measurements(change: Callable[[h5py.File], None], name: str = "measurements.nc") -> Callable[[Path], None]:
    def forging(run: Path) -> None:
        with h5py.File(run / name, "r+") as file:
            change(file)
        forge(name, (run / name).read_bytes())(run)

    return forging


def forge_interventions(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    return forge_measurements(change, "interventions.nc")


def set_to(name: str, value: object, place: object = ()) -> Callable[[h5py.File], None]:
    def forging(file: h5py.File) -> None:
        file[name][place] = value

    return forging


def sparse(name: str) -> Callable[[Path], None]:
    """A file of 10 GB that takes no room."""

    def forging(run: Path) -> None:
        os.truncate(run / name, 10 * 10**9)
        if name != "manifest.json":
            forge_manifest(**{name: FileEntry(10 * 10**9, "0" * 64)})(run)

    return forging


def link(name: str, target: str) -> Callable[[Path], None]:
    def forging(run: Path) -> None:
        path = run / name
        if path.is_dir():
            shutil.move(path, run.parent / f"outside_{path.name}")
            target_path = run.parent / f"outside_{path.name}"
        else:
            path.unlink(missing_ok=True)
            target_path = Path(target) if target.startswith("/") else run.parent / target
        path.symlink_to(target_path)

    return forging


def pipe(run: Path) -> None:
    (run / CHECKPOINT).unlink()
    os.mkfifo(run / CHECKPOINT)


def small_run_of_a_large_p(run: Path) -> None:
    """Everything fits together; only the work would need hundreds of gigabytes."""
    forge_config(config__task__p=30_000, config__model__d_model=1, config__model__n_heads=1, config__model__d_head=1)(
        run
    )
    forge_config(config__model__d_mlp=1)(run)

    config = grokviz.open_run(run).config
    tensors = {name: np.zeros(shape, np.float32) for name, shape in config.blueprint.shapes.items()}
    for epoch in grokviz.open_run(run).epochs:
        forge(f"checkpoints/epoch_{epoch:06d}.safetensors", save(tensors, metadata={"epoch": str(epoch)}))(run)


def external(file: h5py.File) -> None:
    file.create_dataset("stolen", (16,), "u1", external=[(str(Path(file.filename).parents[1] / "secret"), 0, 16)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("elsewhere.nc", "loss", (4,))
    file.create_virtual_dataset("stolen", layout)


def external_link(file: h5py.File) -> None:
    file["stolen"] = h5py.ExternalLink("../secret", "/")


def bomb(file: h5py.File) -> None:
    file.create_dataset("bomb", (1 << 38,), "f8", chunks=(1 << 16,), compression="gzip")


def without_split(file: h5py.File) -> None:
    values = file["loss"][:, 0]
    del file["loss"]
    file["loss"] = values


def one_text_many_times(run: Path) -> None:
    """400 elements of an array that all refer to one text of 6 MB."""
    with h5py.File(run / "measurements.nc", "r+") as file:
        texts = file.create_dataset("texts", (400,), h5py.string_dtype())
        texts[0] = "x" * 6_000_000
        place = texts.id.get_offset()
    content = bytearray((run / "measurements.nc").read_bytes())
    content[place : place + 400 * 16] = content[place : place + 16] * 400
    forge("measurements.nc", bytes(content))(run)


def many_texts_in_an_attribute(file: h5py.File) -> None:
    file.attrs["texts"] = np.array(["x" * 100] * 3000, dtype=object)


def many_attributes(file: h5py.File) -> None:
    for i in range(10_001):
        file["loss"].attrs[f"a{i}"] = np.int8(0)


def chunks_beyond_memory(file: h5py.File) -> None:
    file.create_dataset("chunk", (4,), "f8", maxshape=(None,), chunks=(1 << 28,), compression="gzip")


def lacking(*names: str) -> Callable[[h5py.File], None]:
    def forging(file: h5py.File) -> None:
        for name in names:
            del file[name]

    return forging


def with_text(name: str, text: str) -> Callable[[h5py.File], None]:
    def forging(file: h5py.File) -> None:
        del file[name]
        file[name] = text

    return forging


def with_attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.create(name, value)


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 1)).decode()


@cache
def zeros(n: int) -> str:
    """So many zeros, packed: a thousandth of their size."""
    return packed(bytes(n))


def forge_split(n_pairs: int, train: str) -> Callable[[Path], None]:
    split = {"n_pairs": n_pairs, "train": train}
    return forge_config(config__task__split=split, config__task__train_fraction=None, config__task__split_seed=None)


HOSTILE: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a name that leads up": (
        forge_manifest(**{"../secret": FileEntry(1, "0")}),
        "check",
        "which is not a file of a run",
    ),
    "an absolute name": (
        forge_manifest(**{"/etc/passwd": FileEntry(1, "0")}),
        "measure",
        "which is not a file of a run",
    ),
    "a name that leads up and down": (
        forge_manifest(**{"checkpoints/../../secret": FileEntry(1, "0")}),
        "report",
        "which is not a file of a run",
    ),
    "a name of terminal codes": (
        forge_manifest(**{"\x1b]0;owned\x07": FileEntry(1, "0")}),
        "check",
        "not a file of a run",
    ),
    "a deep manifest": (raw_manifest(b'{"a":' * 100_000), "check", "damaged: manifest.json"),
    "a deep list in the manifest": (raw_manifest(b"[" * 100_000), "measure", "manifest.json is damaged"),
    "a number of a million digits": (raw_manifest(b'{"schema_version": ' + b"9" * 10**6 + b"}"), "check", "damaged"),
    "a manifest of another world": (
        raw_manifest(b'{"schema_version": 3, "files": [], "status": {}}'),
        "check",
        "damaged",
    ),
    "a size below zero": (forge_manifest(**{CHECKPOINT: FileEntry(-5, "0")}), "check", "damaged"),
    "an unknown status": (
        lambda run: (run / "manifest.json").write_bytes(Manifest(status="<b>").to_bytes()) and None,
        "report",
        "the status",
    ),
    "a manifest of 10 GB": (sparse("manifest.json"), "check", "such a file never exceeds"),
    "a checkpoint of 10 GB": (sparse(CHECKPOINT), "check", "such a file never exceeds"),
    "a history of 10 GB": (sparse("history.csv"), "check", "such a file never exceeds"),
    "a configuration of 10 GB": (sparse("config.json"), "measure", "such a file never exceeds"),
    "a deep configuration": (forge("config.json", b'{"config":' * 50_000), "check", "damaged"),
    "a configuration that is a list": (forge("config.json", b"[]"), "measure", "not hold a JSON object"),
    "p of a billion": (forge_config(config__task__p=10**9), "measure", "p is 1000000000, but must be at most"),
    "p of a thousand digits": (forge_config(config__task__p=10**1000), "check", "but must be at most"),
    "p as a list": (forge_config(config__task__p=[7]), "check", "must be a whole number"),
    "p as text": (forge_config(config__task__p="7; rm -rf /"), "check", "must be a whole number"),
    "another p than the weights": (forge_config(config__task__p=32_000), "measure", "embed.W_E"),
    "a small run of a large p": (small_run_of_a_large_p, "measure", "GB of memory, but this machine has"),
    "a model of a million": (forge_config(config__model__d_mlp=10**6), "check", "asks for float32 of shape"),
    "an operation that is a list": (forge_config(config__task__operation=["addition"]), "check", "which is unknown"),
    "an operation to be imported": (forge_config(config__task__operation="os:system"), "check", "is unknown"),
    "recorded answers that are a bomb": (
        lambda run: forge_config(config__task__operation=own(answers=zeros(10**9)))(run),
        "check",
        "are not those of the 49 pairs mod 7",
    ),
    "recorded answers that are no residues": (
        forge_config(config__task__operation=own(answers=packed(b"\xff" * 98))),
        "check",
        "which is not a residue mod 7",
    ),
    "recorded answers that are no text": (forge_config(config__task__operation=own(answers=3)), "check", "has written"),
    "recorded answers of p = 0": (forge_config(config__task__operation=own(p=0)), "check", "are mod 0, but p must be"),
    "recorded answers of p below 0": (
        forge_config(config__task__operation=own(p=-3)),
        "check",
        "are mod -3, but p must",
    ),
    "recorded answers of p = 10^10": (
        forge_config(config__task__operation=own(p=10**10)),
        "check",
        "are mod 10000000000, but p must be 1 to 2048",
    ),
    "recorded answers that claim 500 MB": (
        lambda run: forge_config(config__task__operation=own(p=16_000, answers=zeros(2 * 16_000**2)))(run),
        "check",
        "are mod 16000, but p must be",
    ),
    "a given split of other pairs": (forge_split(10**12, ""), "check", "of 1000000000000 pairs, but the task has 49"),
    "a given split of no pairs": (forge_split(0, ""), "check", "no version of grokviz has written"),
    "a given split that is a bomb": (lambda run: forge_split(49, zeros(10**9))(run), "check", "is not one of 49 pairs"),
    "a given split that trains on none": (forge_split(49, packed(bytes(7))), "measure", "trains on 0 of 49 pairs"),
    "a given split with bits beyond its end": (forge_split(49, packed(b"\xff" * 7)), "check", "of more than 49 pairs"),
    "a configuration of four million lists": (
        lambda run: forge("config.json", b'{"config": [' + b"[]," * 4_500_000 + b"[]]}")(run),
        "check",
        "parts, of which at most",
    ),
    "recorded answers of another p": (forge_config(config__task__operation=own(p=11)), "check", "121 pairs"),
    "a learning rate beyond numbers": (forge_config(config__training__learning_rate=10**400), "check", "finite number"),
    "an unknown field": (forge_config(config__task__command="rm"), "check", "unknown field command"),
    "an environment that is none": (forge_config(environment=["a"]), "check", "environment"),
    "versions that are none": (forge_config(environment={"versions": 7}), "report", "environment"),
    "a newer schema": (
        forge_config(schema_version=99),
        "measure",
        f"schema version 99, and this grokviz reads 2 to {SCHEMA_VERSION}",
    ),
    "a pickle for a checkpoint": (forge(CHECKPOINT, pickle.dumps({"W": 1})), "check", "not a safetensors file"),
    "a header of 2^62 bytes": (forge(CHECKPOINT, header("{}", 1 << 62)), "check", "not a safetensors file"),
    "a tensor larger than its file": (
        forge(CHECKPOINT, header('{"embed.W_E":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,8]}}')),
        "check",
        "not a safetensors file",
    ),
    "tensors of other shapes": (
        forge_tensors(lambda tensors: {**tensors, "embed.W_E": np.zeros((3, 3), np.float32)}),
        "measure",
        "asks for float32 of shape",
    ),
    "tensors of whole numbers": (
        forge_tensors(lambda tensors: {n: v.astype(np.int32) for n, v in tensors.items()}),
        "check",
        "asks for float32",
    ),
    "an unknown tensor": (
        forge_tensors(lambda tensors: {**tensors, "\x1b[31m\nevil": np.zeros(1, np.float32)}),
        "check",
        "holds an unknown tensor",
    ),
    "weights that are no numbers": (
        forge_tensors(lambda tensors: {n: v * np.nan for n, v in tensors.items()}),
        "check",
        "not finite",
    ),
    "a checkpoint of another epoch": (
        lambda run: forge(CHECKPOINT, (run / "checkpoints/epoch_000040.safetensors").read_bytes())(run),
        "check",
        "belongs to epoch '40'",
    ),
    "a pipe for a checkpoint": (pipe, "check", "is not a regular file"),
    "a device for a checkpoint": (link(CHECKPOINT, "/dev/zero"), "check", "is a link out of the run"),
    "a link for a checkpoint": (link(CHECKPOINT, "secret"), "check", "is a link out of the run"),
    "a link for the configuration": (link("config.json", "/etc/passwd"), "check", "is a link out of the run"),
    "a link for the manifest": (link("manifest.json", "secret"), "check", "is a link out of the run"),
    "a link to itself": (lambda run: link(CHECKPOINT, f"{run.name}/{CHECKPOINT}")(run), "check", "damaged"),
    "a link for the folder of checkpoints": (link("checkpoints", ""), "measure", "is a link"),
    "a link for the folder of states": (link("states", ""), "resume", "is a link"),
    "a link for a lock": (link(".training.lock", "secret"), "resume", "cannot be locked"),
    "measurements that are a pickle": (forge("measurements.nc", pickle.dumps([1])), "report", "not a netCDF file"),
    "measurements that unpack to 2 TB": (forge_measurements(bomb), "report", "claim to hold"),
    "measurements in another file": (forge_measurements(external), "report", "lies in another file"),
    "measurements by a virtual array": (forge_measurements(virtual), "report", "lies in another file"),
    "measurements of one text named 400 times": (one_text_many_times, "report", "claim to hold"),
    "measurements with an attribute of many texts": (
        forge_measurements(many_texts_in_an_attribute),
        "report",
        "claim to hold",
    ),
    "measurements with many attributes": (forge_measurements(many_attributes), "report", "has 10,0"),
    "measurements with a chunk beyond memory": (forge_measurements(chunks_beyond_memory), "report", "claim to hold"),
    "measurements without checkpoints": (forge_measurements(lacking("checkpoint")), "check", "it has no checkpoint"),
    "measurements without epochs": (
        forge_measurements(lacking("epoch")),
        "measure",
        "it has no epoch or no checkpoint",
    ),
    "measurements without a status": (forge_measurements(lacking("status")), "report", "it has no status"),
    "measurements without splits": (forge_measurements(without_split), "check", "loss must be numbers along"),
    "measurements of a configuration that is no JSON": (
        forge_measurements(with_text("config", "{p: 7}")),
        "report",
        "config is not JSON",
    ),
    "measurements of a configuration that is a list": (
        forge_measurements(with_text("config", "[]")),
        "check",
        "config must be a JSON object",
    ),
    "measurements with reasons that are no JSON": (
        forge_measurements(with_attribute("absent", "nothing")),
        "report",
        "'absent' is not JSON",
    ),
    "measurements with reasons that are numbers": (
        forge_measurements(with_attribute("absent", 7)),
        "report",
        "'absent' must be a JSON object",
    ),
    "measurements whose p is a text": (forge_measurements(with_text("p", "7")), "check", "its p must be a whole"),
    "measurements by a link": (forge_measurements(external_link), "report", "links are not followed"),
    "measurements in a group": (forge_measurements(lambda file: file.create_group("g") and None), "report", "a group"),
    "interventions that are a pickle": (forge("interventions.nc", pickle.dumps([1])), "ablate", "not a netCDF file"),
    "interventions that unpack to 2 TB": (forge_interventions(bomb), "report", "claim to hold"),
    "interventions in another file": (forge_interventions(external), "ablate", "lies in another file"),
    "interventions by a link": (forge_interventions(external_link), "report", "links are not followed"),
    "interventions without checkpoints": (forge_interventions(lacking("checkpoint")), "check", "interventions.nc: "),
    "interventions without identities": (forge_interventions(lacking("intervention")), "ablate", "cannot be read"),
    "interventions without names": (forge_interventions(lacking("name")), "report", "name must be a text along"),
    "interventions without epochs": (forge_interventions(lacking("epoch")), "ablate", "epoch must be whole numbers"),
    "cases of networks that are not there": (
        forge_interventions(set_to("checkpoint_of_loss", 99, 0)),
        "report",
        "checkpoint_of_loss names places that are not there",
    ),
    "cases of interventions that are not there": (
        forge_interventions(set_to("intervention_of_loss", -1, 0)),
        "ablate",
        "intervention_of_loss names places that are not there",
    ),
    "a case that is there twice": (
        forge_interventions(set_to("intervention_of_loss", 0, ...)),
        "ablate",
        "has a case twice",
    ),
    "interventions whose losses have no splits": (
        forge_interventions(without_split),
        "report",
        "its loss must be by case and split",
    ),
    "interventions whose splits are others": (
        forge_interventions(set_to("split", ["a", "b", "c", "d", "e"])),
        "report",
        "along its axis split must be train, test, all",
    ),
    "interventions without splits": (forge_interventions(lacking("split")), "report", "cannot be read"),
    "measurements whose splits are others": (
        forge_measurements(set_to("split", ["a", "b", "c", "d", "e"])),
        "report",
        "along its axis split must be train, test, all",
    ),
    "interventions that are compared with no JSON": (
        forge_interventions(set_to("against", "[")),
        "ablate",
        "does not hold what interventions left",
    ),
    "interventions that are compared with a number": (
        forge_interventions(set_to("against", "[7]")),
        "report",
        "does not hold what interventions left",
    ),
    "interventions on blocks that are none": (
        forge_interventions(set_to("against", json.dumps([AGAINST]))),
        "ablate",
        "does not hold what interventions left",
    ),
    "measurements of another p": (
        forge_measurements(lambda file: file["p"].write_direct(np.array(11))),
        "report",
        "but the task has 11",
    ),
}


COMMANDS = {
    "check": [],
    "measure": [],
    "ablate": ["--remove", "1", "--controls", "1"],
    "report": [],
    "figure": ["losses", "-o", "losses.html"],
    "resume": ["--epochs", "41"],
}
"""Every command that reads a run."""


def commands(run: Path, output: Path, most_used: Path, chosen: list[str]) -> None:
    """The `chosen` commands, in one process; and the memory that they took at most."""
    os.chdir(run.parent)
    for name in chosen:
        child_output = output.with_suffix(f".{name}")
        try:
            worker.command([name, "run", *COMMANDS[name]], run, child_output)
        except SystemExit as end:
            with child_output.open("a") as file:
                file.write(f"exit {end.code}\n")
    most_used.write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory, tiny_run: grokviz.Run) -> grokviz.Run:
    """A run that is measured, and was tried without a frequency."""
    run = grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path_factory.mktemp("ablated") / "run"))
    grokviz.ablate(run, grokviz.interventions.remove(1), controls=1, progress=False)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_run_is_refused_in_one_line_and_little_memory(
    ablated: grokviz.Run, tmp_path: Path, case: str, whole: bool, figures
) -> None:
    # given a run that was tampered with, and a file beside it
    hostile, command, says = HOSTILE[case]
    run = shutil.copytree(ablated.directory, tmp_path / "run")
    (tmp_path / "secret").write_text(SECRET)
    hostile(run)

    # when every command has tried it, or in a sample of them the one that must notice
    chosen = [name for name in COMMANDS if whole or name in ("check", command)]
    child = worker.CONTEXT.Process(target=commands, args=(run, tmp_path / "output", tmp_path / "memory", chosen))
    child.start()
    child.join(120)
    alive = child.is_alive()
    child.kill()
    assert not alive, "waits for something that never comes"

    # then the one that must notice says so, none breaks, and nothing beside the run was read or written
    for name in chosen:
        said = (tmp_path / f"output.{name}").read_text()
        assert "Traceback" not in said, said
        assert int(said.splitlines()[-1].removeprefix("exit ")) in (0, 1, 2), said
        assert SECRET not in said
        assert "\x1b" not in said
        errors = [line for line in said.splitlines() if line.startswith("grokviz: ")]
        assert len(errors) <= 2, said  # a warning, and the error
    assert says in (tmp_path / f"output.{command}").read_text()
    assert (tmp_path / "secret").read_text() == SECRET
    assert int((tmp_path / "memory").read_text()) < CAREFUL_MEMORY
    if case == list(HOSTILE)[-1]:
        figures(
            f"{len(HOSTILE)} hostile runs, {'six commands' if whole else 'check and the one that must notice'} on each: no "
            "traceback, under 1 GB, nothing outside touched"
        )


@pytest.mark.slow
def test_text_from_a_run_is_escaped_in_the_report(ablated: grokviz.Run, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    run = shutil.copytree(ablated.directory, tmp_path / evil)

    def rename(file: h5py.File) -> None:
        for fact in ("run", "key_frequency_rule"):
            file[fact][()] = evil
        for part in ("description", "formula", "unit", "range", "source"):
            file["loss"].attrs[part] = evil

    forge_measurements(rename)(run)
    for name in ("name", "at", "sentence"):
        forge_interventions(set_to(name, evil, ...))(run)
    kept = {
        "name": evil,
        "identity": evil,
        "sentence": evil,
        "at": "embedding",
        "controls": {},
        "why_none": {evil: evil},
    }
    about = {"how": "keep", "labels": [evil], "families": []}
    forge_interventions(set_to("against", json.dumps([{**kept, "about": about}])))(run)
    forge_config(environment={"versions": {evil: evil}, "device": evil, "threads": evil})(run)
    page = grokviz.write_report(grokviz.open_run(run)).read_text()
    assert evil not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
