"""Networks of others become runs: every layout exactly, their epochs, tasks and losses; what is none is refused in one line."""

import json
import math
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformer_lens import HookedTransformerConfig

import grokviz
from crashes import CrashError
from fixtures import initial_model
from grokviz import ImportOptions
from grokviz.cli.main import main
from grokviz.errors import GrokvizError, GrokvizWarning, LackingError
from grokviz.store.writing import RunWriter
from published_layouts import (
    LAYOUTS,
    all_tokens,
    as_progress_measures,
    as_transformer_lens,
    as_transformer_lens_4,
    logits_by_hand,
    random_parameters,
    without_biases_of_attention,
)

UNTRAINED = ImportOptions(operation="addition", split="unknown")
"""What has to be told of a random network."""

pytestmark = pytest.mark.filterwarnings("ignore:.*it is not known which pairs:grokviz.errors.GrokvizWarning")


def saved(values: object, path: Path) -> Path:
    torch.save(values, path)
    return path


def logits_of(run: grokviz.Run, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return run.model("last").double()(tokens)[:, -1]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("p", [7, 8])
@pytest.mark.parametrize("biases", [False, True], ids=["without biases", "with biases"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_network_of_every_layout_has_its_logits(
    layout: str, biases: bool, p: int, suffix: str, tmp_path: Path
) -> None:
    parameters = random_parameters(p, biases=biases, classes="tokens" if p == 7 else "answers")
    if layout == "progress measures":
        parameters = without_biases_of_attention(parameters)
    state = LAYOUTS[layout](parameters)
    path = tmp_path / f"network{suffix}"
    save_file({n: t.clone() for n, t in state.items()}, path) if suffix == ".safetensors" else saved(state, path)
    options = ImportOptions(operation="addition", split="unknown", heads=3)

    run = grokviz.import_run(path, tmp_path / "run", options, progress=False)

    expected = logits_by_hand(parameters, all_tokens(p))
    found = logits_of(run, all_tokens(p))
    assert ((found - expected).norm() / expected.norm()).item() < 1e-6
    assert run.status == "imported"
    assert (run.config.task.p, run.config.model.n_heads, run.config.training) == (p, 3, None)
    assert (run.config.model.biases == "none") == (not biases)
    measured = grokviz.measure(run, progress=False)
    assert measured["loss"].sel(split="all").notnull().all()
    assert not grokviz.check_run(run).damages


@pytest.mark.parametrize("coefficient", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("positions", [2, 3])
def test_attention_mixed_with_a_constant_is_written_as_heads_of_softmax(
    coefficient: float, positions: int, tmp_path: Path
) -> None:
    parameters = without_biases_of_attention(random_parameters(9, biases=True, positions=positions))
    path = saved(as_progress_measures(parameters), tmp_path / "pizza.pt")
    options = ImportOptions(operation="addition", split="unknown", attention_coefficient=coefficient)

    run = grokviz.import_run(path, tmp_path / "run", options, progress=False)

    tokens = all_tokens(9, positions=positions)
    expected = logits_by_hand(parameters, tokens, coefficient)
    assert ((logits_of(run, tokens) - expected).norm() / expected.norm()).item() < 1e-6
    assert run.config.model.n_heads == (6 if coefficient == 0.3 else 3)
    assert run.origin is not None
    assert run.origin.layout.startswith("pizza")
    measured = grokviz.measure(run, progress=False)
    answers = torch.from_numpy(run.config.task.task.answers)
    by_hand = torch.nn.functional.cross_entropy(expected, answers).item()
    assert measured["loss"].sel(split="all").item() == pytest.approx(by_hand, rel=1e-5)
    assert ("attention_score" in measured) == (positions == 3)
    grokviz.write_report(run, progress=False)


def test_two_positions_without_a_coefficient_are_refused_with_what_to_give(tmp_path: Path) -> None:
    parameters = without_biases_of_attention(random_parameters(9, biases=True, positions=2))
    path = saved(as_progress_measures(parameters), tmp_path / "pizza.pt")
    with pytest.raises(GrokvizError, match=r"reads two positions.* with attention_coefficient or a config that states"):
        grokviz.import_run(path, tmp_path / "run", UNTRAINED)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"attn_coeff": 0.25, "act_fn": "ReLU"}))
    stated = ImportOptions(operation="addition", split="unknown", config=config)
    assert grokviz.import_run(path, tmp_path / "run", stated, progress=False).config.model.n_heads == 6


def test_a_configuration_that_states_another_kind_of_network_refuses_it(tmp_path: Path) -> None:
    path = saved(as_transformer_lens(random_parameters(7, biases=True)), tmp_path / "model.pt")
    for stated, says in (
        (
            {"act_fn": "Tanh"},
            "states act_fn = 'Tanh', but measures are of networks with ReLU or GELU or square neurons",
        ),
        ({"use_ln": True}, "states use_ln = True, but measures are of networks with attention and MLP"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(stated))
        options = ImportOptions(operation="addition", split="unknown", config=tmp_path / "config.json")
        with pytest.raises(GrokvizError, match=says):
            grokviz.import_run(path, tmp_path / "run", options)


def test_the_number_of_heads_is_found_by_what_the_network_has_learnt(quick_run: grokviz.Run, tmp_path: Path) -> None:
    weights = {name: torch.from_numpy(values) for name, values in quick_run.weights("last").items()}
    path = saved(as_transformer_lens_4(weights), tmp_path / "native.pt")
    run = grokviz.import_run(path, tmp_path / "run", progress=False)
    assert run.config.model.n_heads == 4
    assert (run.config.task.operation, run.config.task.p) == ("addition", 59)
    assert (run.config.task.split, run.config.task.split_seed) == ("randperm", quick_run.config.task.split_seed)
    random = saved(as_transformer_lens_4(random_parameters(9, biases=False)), tmp_path / "random.pt")
    with pytest.raises(GrokvizError, match=r"15 wide together, and how many they are cannot be told .* with heads"):
        grokviz.import_run(random, tmp_path / "other", UNTRAINED)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> grokviz.Run:
    """A run whose split is that of Nanda et al.'s code, with the test loss of every epoch."""
    config = grokviz.RunConfig(
        task=grokviz.TaskConfig(p=23, train_fraction=0.6, split="python_shuffle", split_seed=7),
        model=grokviz.ModelConfig(d_model=32, n_heads=2, d_head=16, d_mlp=64, output_vocabulary="answers"),
        training=grokviz.TrainingConfig(epochs=600, test_every=1, checkpoint_every=20, threads=1),
    )
    return grokviz.train(config, tmp_path_factory.mktemp("small") / "run", progress=False)


def demo_config() -> HookedTransformerConfig:
    """The configuration of the small run, as TransformerLens' demo keeps one."""
    sizes = {"d_model": 32, "d_head": 16, "d_mlp": 64, "n_ctx": 3}
    return HookedTransformerConfig(n_layers=1, act_fn="relu", normalization_type=None, seed=999, **sizes)


def states_of(run: grokviz.Run, epochs: Sequence[int]) -> list[dict[str, torch.Tensor]]:
    return [{name: torch.from_numpy(values) for name, values in run.weights(epoch).items()} for epoch in epochs]


def test_the_file_of_the_grokking_demo_becomes_the_run_that_it_is_of(small_run: grokviz.Run, tmp_path: Path) -> None:
    # given networks by the update just made, and test losses after it, as the loop of the demo has them
    epochs = [epoch for epoch in small_run.epochs if epoch > 0]
    states = [as_transformer_lens(state) for state in states_of(small_run, epochs)]
    demo = {
        "model": states[-1],
        "config": demo_config(),
        "checkpoints": states,
        "checkpoint_epochs": [epoch - 1 for epoch in epochs],
        "train_losses": small_run.history["train_loss"].values[:-1].tolist(),
        "test_losses": small_run.history["test_loss"].values[1:].tolist(),
    }

    run = grokviz.import_run(saved(demo, tmp_path / "demo.pth"), tmp_path / "run", progress=False)

    with pytest.raises(GrokvizError, match=r"epochs are given, but .* holds \d+ networks with epochs of their own"):
        grokviz.import_run(tmp_path / "demo.pth", tmp_path / "other", ImportOptions(epochs=(3,)), progress=False)
    assert run.epochs == tuple(epochs)
    assert run.config.task == small_run.config.task
    for name in ("train_loss", "test_loss", "test_accuracy"):
        ours = run.history[name].sel(epoch=epochs)
        np.testing.assert_allclose(ours, small_run.history[name].sel(epoch=epochs), rtol=1e-4)
    assert run.origin is not None
    said = run.origin.found["stored losses"]
    assert f"train: {len(epochs) - 1} of {len(epochs) - 1} checkpoints within 1%" in said
    assert f"test: {len(epochs)} of {len(epochs)} checkpoints within 1%" in said
    assert run.origin.stated["seed"] == 999
    measured = grokviz.measure(run, progress=False)
    assert grokviz.find_phases(measured).memorised is not None
    grokviz.write_report(run, progress=False)


@pytest.mark.parametrize("shift", [0, 1], ids=["before", "after"])
def test_whether_networks_were_kept_before_or_after_the_update_is_told_by_their_losses(
    small_run: grokviz.Run, shift: int, tmp_path: Path
) -> None:
    epochs = [epoch for epoch in small_run.epochs if 20 <= epoch <= 200]
    whole = {
        "state_dicts": states_of(small_run, epochs),
        "epochs": [epoch - shift for epoch in epochs],
        "train_losses": small_run.history["train_loss"].values[:-1].tolist(),
        "test_losses": small_run.history["test_loss"].values[:-1:10].tolist(),
        "config": {"p": 23, "seed": 7, "frac_train": 0.6},
    }
    run = grokviz.import_run(saved(whole, tmp_path / "full_run_data.pth"), tmp_path / "run", progress=False)
    assert run.epochs == tuple(epochs)
    assert run.config.task == small_run.config.task
    trained = slice(0, 599)
    np.testing.assert_array_equal(
        run.history["train_loss"].sel(epoch=trained), small_run.history["train_loss"].sel(epoch=trained)
    )
    tested = list(range(0, 600, 10))
    np.testing.assert_array_equal(
        run.history["test_loss"].sel(epoch=tested), small_run.history["test_loss"].sel(epoch=tested)
    )


def test_files_of_one_run_are_put_in_the_order_of_their_epochs(quick_run: grokviz.Run, tmp_path: Path) -> None:
    paths = []
    for epoch in (200, 4000, 0):
        state = {name: torch.from_numpy(values) for name, values in quick_run.weights(epoch).items()}
        paths.append(saved(state, tmp_path / f"epoch{epoch}.pt"))
    run = grokviz.import_run(paths, tmp_path / "run", progress=False)
    assert run.epochs == (0, 200, 4000)
    assert run.history["train_loss"].values == pytest.approx(
        quick_run.history["train_loss"].sel(epoch=[0, 200, 4000]).values, rel=1e-4
    )
    given = ImportOptions(epochs=(2, 3, 1))
    assert grokviz.import_run(paths, tmp_path / "given", given, progress=False).epochs == (1, 2, 3)
    own = sorted((quick_run.directory / "checkpoints").iterdir())[-2:]
    assert grokviz.import_run(own, tmp_path / "own", progress=False).epochs == quick_run.epochs[-2:]


def test_an_imported_run_is_measured_reported_and_compared_but_not_trained_on(
    quick_run: grokviz.Run, tmp_path: Path
) -> None:
    state = {name: torch.from_numpy(values) for name, values in quick_run.weights("last").items()}
    run = grokviz.import_run(saved(state, tmp_path / "model.pt"), tmp_path / "run", progress=False)
    grokviz.measure(run, progress=False)
    page = grokviz.write_report(run, progress=False).read_text()
    assert "This run has not grokked" not in page
    assert "imported from" in page
    with pytest.warns(grokviz.GrokvizWarning, match="the last checkpoints are of different epochs"):
        grokviz.write_comparison([run, quick_run], tmp_path / "compare.html", progress=False)
    with pytest.raises(GrokvizError, match="was imported, and is not trained on"):
        grokviz.resume(run, epochs=9000)
    assert "elsewhere" in run._repr_html_()
    assert "imported" in repr(run)
    with pytest.raises(LackingError, match="not known how the network was trained"):
        run.config.with_training(epochs=5)


def test_a_run_of_an_unknown_split_says_so_wherever_it_would_count(quick_run: grokviz.Run, tmp_path: Path) -> None:
    state = {name: torch.from_numpy(values) for name, values in quick_run.weights("last").items()}
    path = saved(state, tmp_path / "model.pt")
    with pytest.warns(GrokvizWarning, match=r"it is not known which pairs it was trained on, and measures .* absent"):
        run = grokviz.import_run(path, tmp_path / "run", ImportOptions(split="unknown"), progress=False)
    measured = grokviz.measure(run, progress=False)
    assert measured["split"].values.tolist() == ["all"]
    assert "excluded_loss_by_frequency" not in measured
    assert "not known which pairs" in json.loads(measured.attrs["absent"])["excluded_loss_by_frequency"]
    for name in ("losses", "progress_measures", "excluded_losses", "margins"):
        with pytest.raises(LackingError, match=r"not known which pairs|no history of losses"):
            getattr(grokviz.figures, name)(measured)
    assert "not known which were trained on" in grokviz.write_report(run, progress=False).read_text()
    with pytest.raises(LackingError, match="not known which pairs"):
        grokviz.take_snapshot(run, "last").known_train_mask  # noqa: B018 - it is the reading that fails
    with pytest.raises(GrokvizError, match="split is unknown, which only an imported network has"):
        grokviz.train(grokviz.RunConfig(task=run.config.task), tmp_path / "trained")


def test_train_pairs_may_be_given_in_a_file_of_any_kind(quick_run: grokviz.Run, tmp_path: Path) -> None:
    from grokviz.tasks.split import train_mask

    state = {name: torch.from_numpy(values) for name, values in quick_run.weights("last").items()}
    path = saved(state, tmp_path / "model.pt")
    mask = train_mask(quick_run.config.task)
    indices = mask.nonzero().flatten().tolist()
    (tmp_path / "indices.json").write_text(json.dumps(indices))
    (tmp_path / "pairs.csv").write_text("\n".join(f"{i // 59},{i % 59}" for i in indices))
    (tmp_path / "indices.txt").write_text("\n".join(map(str, indices)))
    np.save(tmp_path / "indices.npy", np.array(indices))
    for i, name in enumerate(("indices.json", "pairs.csv", "indices.txt", "indices.npy")):
        options = ImportOptions(train_pairs=tmp_path / name)
        run = grokviz.import_run(path, tmp_path / f"run{i}", options, progress=False)
        assert (train_mask(run.config.task) == mask).all()
        assert (run.config.task.split_seed, run.config.task.n_train) == (None, len(indices))
    reopened = grokviz.open_run(tmp_path / "run0")
    assert (train_mask(reopened.config.task) == mask).all()
    in_file = saved({"model": state, "train_indices": torch.tensor(indices)}, tmp_path / "with_indices.pt")
    run = grokviz.import_run(in_file, tmp_path / "in_file", progress=False)
    assert (train_mask(run.config.task) == mask).all()
    (tmp_path / "bad.txt").write_text("1\n1\n")
    for content, says in (("1\n1\n", "1 twice"), ("5000\n", "from 0 to 3480"), ("a b", "lists no whole numbers")):
        (tmp_path / "bad.txt").write_text(content)
        with pytest.raises(GrokvizError, match=says):
            grokviz.import_run(path, tmp_path / "bad", ImportOptions(train_pairs=tmp_path / "bad.txt"))


def test_another_operation_is_found_by_its_answers(tmp_path: Path) -> None:
    # given networks that have memorised all pairs but a few
    for operation, p in (("subtraction", 11), ("multiplication", 13), ("x2_xy_y2", 11)):
        config = grokviz.RunConfig(
            task=grokviz.TaskConfig(p=p, operation=operation, train_fraction=0.8),
            model=grokviz.ModelConfig(d_model=32, n_heads=2, d_head=16, d_mlp=64),
            training=grokviz.TrainingConfig(epochs=400, learning_rate=5e-3, threads=1),
        )
        trained = grokviz.train(config, tmp_path / operation, progress=False)
        state = {name: torch.from_numpy(values) for name, values in trained.weights("last").items()}
        run = grokviz.import_run(
            saved(state, tmp_path / f"{operation}.pt"), tmp_path / f"{operation}_again", progress=False
        )
        assert (run.config.task.operation, run.config.task.p) == (operation, p)
    random = saved(random_parameters(11, biases=False), tmp_path / "random.pt")
    with pytest.raises(
        GrokvizError, match=r"what it was trained on cannot be told: of 11 elements.*with operation .* and p"
    ):
        grokviz.import_run(random, tmp_path / "random")
    with pytest.raises(GrokvizError, match="the network has 11 elements, but multiplication mod 11 has 10"):
        grokviz.import_run(random, tmp_path / "random", ImportOptions(operation="multiplication", p=11))


def another(**changes: object) -> dict[str, object]:
    return {**as_transformer_lens(random_parameters(7, biases=True)), **changes}


def refused(state: object, tmp_path: Path) -> str:
    with pytest.raises(GrokvizError) as error:
        grokviz.import_run(saved(state, tmp_path / "bad.pt"), tmp_path / "run", UNTRAINED, progress=False)
    assert not (tmp_path / "run").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


NAN = torch.full((12, 14), torch.nan)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (another(**{"blocks.1.attn.W_Q": torch.zeros(3, 12, 5)}), "it has 2 layers; expected was one layer"),
        (another(**{"blocks.0.ln1.w": torch.ones(12)}), "it has LayerNorm (blocks.0.ln1.w); expected was"),
        (another(**{"ln_final.w": torch.ones(12)}), "it has LayerNorm (ln_final.w)"),
        (another(**{"blocks.0.mlp.W_gate": torch.ones(12, 14)}), "it has a gated MLP (blocks.0.mlp.W_gate)"),
        ({k: v for k, v in another().items() if ".attn." not in k}, "it has no attention; expected was"),
        ({k: v for k, v in another().items() if ".mlp." not in k}, "it has no MLP; expected was"),
        (
            {"layers.0.weight": torch.ones(3, 3)},
            "its tensors are layers.0.weight (3, 3); expected were those of a one-layer",
        ),
        (another(**{"blocks.0.mlp.W_in": NAN}), "blocks.0.mlp.W_in holds numbers that are not finite: NaN or infinity"),
        (
            another(**{"blocks.0.mlp.W_in": torch.ones(12, 13)}),
            "blocks.0.mlp.W_out has neuron = 14, but blocks.0.mlp.W_in has 13",
        ),
        (
            another(**{"blocks.0.mlp.W_in": torch.ones(12)}),
            "blocks.0.mlp.W_in has the shape (12,), but expected was d_model x neuron",
        ),
        (
            another(**{"unembed.W_U": torch.ones(12, 5), "unembed.b_U": torch.ones(5)}),
            "8 tokens and 5 classes, but expected were 7 or 8",
        ),
        (
            another(**{"pos_embed.W_pos": torch.ones(5, 12)}),
            "it reads 5 positions (pos_embed.W_pos), but expected were 3",
        ),
        (
            another(**{"blocks.0.attn.W_extra": torch.ones(3)}),
            "its tensor blocks.0.attn.W_extra (3,) is no parameter of this",
        ),
        (another(x_embed=torch.ones(8, 12)), "its tensor x_embed (8, 12) is not embed.W_E, as which it was expected"),
        (
            another(**{"embed.W_E": torch.ones(8, 12, dtype=torch.int64)}),
            "embed.W_E is of torch.int64, but weights are",
        ),
        (
            {"checkpoints": [another(), another()], "checkpoint_epochs": [3]},
            "2 networks, but its 'checkpoint_epochs' is not 2",
        ),
        ({"checkpoints": [another(), another()], "checkpoint_epochs": [4, 3]}, "is not 2 ascending epochs"),
        ({"note": "nothing"}, "holds note, but no network: neither a state dict"),
        ([1, 2], "holds a list, but the weights of a network were expected"),
        ({"model": another(), "train_losses": ["a"]}, "holds 'train_losses' that are no numbers"),
    ],
    ids=range(20),
)
def test_what_is_no_such_network_is_refused_with_what_was_found_and_expected(
    state: object, says: str, tmp_path: Path
) -> None:
    assert says in refused(state, tmp_path)


class Anything:
    """A class of somebody's own."""


def test_a_file_that_needs_pickle_is_refused_with_how_to_convert_it(tmp_path: Path) -> None:
    said = refused({"model": another(), "extra": Anything()}, tmp_path)
    assert "needs pickle to make a test_importing.Anything, and pickle can run any code" in said
    assert "torch.save(model.state_dict(), FILE)" in said


class Runs:
    """What would run code where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch /tmp/grokviz_was_here",))


def test_no_code_in_a_file_is_run(tmp_path: Path) -> None:
    Path("/tmp/grokviz_was_here").unlink(missing_ok=True)
    said = refused({"model": another(), "extra": Runs()}, tmp_path)
    assert "needs pickle" in said
    assert not Path("/tmp/grokviz_was_here").exists()


def test_loss_curves_of_numpy_and_configurations_of_transformer_lens_are_read(tmp_path: Path) -> None:
    values = {
        "model": as_transformer_lens(random_parameters(7, biases=True, d_head=4)),
        "epoch": 4,
        "train_losses": list(np.linspace(1, 2, 5)),
        "test_losses": np.linspace(2, 3, 5),
        "config": HookedTransformerConfig(
            n_layers=1, d_model=12, n_ctx=3, d_head=4, d_mlp=14, act_fn="relu", normalization_type=None
        ),
    }
    run = grokviz.import_run(saved(values, tmp_path / "run.pth"), tmp_path / "run", UNTRAINED, progress=False)
    assert run.history["train_loss"].values[:5] == pytest.approx(np.linspace(1, 2, 5))
    assert run.origin is not None
    assert run.origin.stated["n_layers"] == 1


@pytest.mark.parametrize("cut", [3, 40, 400, -300, -1])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".old"])
def test_a_file_cut_short_is_refused_in_one_line(cut: int, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"cut{suffix}"
    if suffix == ".safetensors":
        save_file(random_parameters(7, biases=True), path)
    else:
        torch.save(another(), path, _use_new_zipfile_serialization=suffix == ".pt")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(GrokvizError) as error:
        grokviz.import_run(path, tmp_path / "run", UNTRAINED, progress=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has used at most is read from /proc; use Linux")
def test_files_that_would_take_the_memory_are_refused_before_they_do(tmp_path: Path) -> None:
    # that of getrusage would be that of the process which started it, where that is larger
    # given ten gigabytes that take no room on the disk, and a tensor of many numbers with one behind them
    for name in ("sparse.pt", "sparse.safetensors"):
        with (tmp_path / name).open("wb") as file:
            file.write(b"PK" if name.endswith(".pt") else (9_000_000_000).to_bytes(8, "little") + b"{")
            file.truncate(10_000_000_000)
    torch.save({"embed.W_E": torch.ones(1).expand(1_000_000, 1_000_000)}, tmp_path / "wide.pt")
    script = (
        "import sys, grokviz\n"
        "for name in sys.argv[1:]:\n"
        "    try: grokviz.import_run(name, 'run', progress=False)\n"
        "    except grokviz.GrokvizError as error: print(error)\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    names = ["sparse.pt", "sparse.safetensors", "wide.pt"]
    done = subprocess.run(
        [sys.executable, "-c", script, *names], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    *lines, kilobytes = done.stdout.splitlines()
    assert len(lines) == 3
    assert "10,000,000,000 bytes, but a file to be imported has 1 to 2,147,483,648" in lines[0]
    assert "shape (1000000, 1000000); at most" in lines[2]
    assert int(kilobytes) < 1_000_000


def test_the_command_says_what_was_found_and_what_comes_next(quick_run: grokviz.Run, tmp_path: Path, capsys) -> None:
    state = {name: torch.from_numpy(values) for name, values in quick_run.weights("last").items()}
    path = saved(state, tmp_path / "model.pt")
    assert main(["import", str(path), "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert f"imported: {tmp_path / 'run'} (1 network, epoch 0)" in said
    assert "task of the network: addition mod 59 (found: it answers 100.0% of all pairs so)" in said
    assert "rank-sum test of losses" in said
    assert said.endswith(f"next: grokviz measure {tmp_path / 'run'}\n")
    assert main(["import", str(path), "--out", str(tmp_path / "run")]) == 2
    assert "is not empty, and nothing in it is overwritten; choose another --out, or" in capsys.readouterr().err


@pytest.mark.parametrize("saves", range(4))
def test_an_import_that_was_killed_says_so_and_begins_anew(
    saves: int, small_run: grokviz.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    # given an import of four networks that is killed after some of them, and measured as far as it came
    epochs = small_run.epochs[-4:]
    files = [small_run.directory / "checkpoints" / f"epoch_{epoch:06d}.safetensors" for epoch in epochs]
    options = ImportOptions(operation="addition", split="unknown", epochs=epochs)
    directory = tmp_path / "run"
    save = RunWriter.save

    def save_and_die(writer: RunWriter, epoch: int, **rest: object) -> None:
        if epoch == epochs[saves]:
            raise CrashError
        save(writer, epoch, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "save", save_and_die)
        with pytest.raises(CrashError):
            grokviz.import_run(files, directory, options, progress=False)
    if saves:
        assert grokviz.open_run(directory).status == "importing"
        assert grokviz.measure(directory, progress=False)["status"] == "importing"
        with pytest.raises(GrokvizError, match="was imported, and is not trained on"):
            grokviz.resume(directory)
    else:
        with pytest.raises(GrokvizError, match="holds no network yet; if its import has ended, import it again"):
            grokviz.open_run(directory)

    # then `check` says so, with what to do
    assert main(["check", str(directory)]) == 0
    said = capsys.readouterr().out
    assert "importing, " in said
    assert "its process was killed; import it again, from its beginning, with: grokviz import" in said

    # when imported again, then it is as if it had never been killed
    run = grokviz.import_run(files, directory, options, progress=False)
    whole = grokviz.import_run(files, tmp_path / "whole", options, progress=False)
    assert run.status == "imported"
    assert run.checkpoints == whole.checkpoints
    assert run.history.identical(whole.history)
    assert not grokviz.check_run(directory).damages
    with pytest.raises(GrokvizError, match="is not empty, and nothing in it is overwritten; choose another directory"):
        grokviz.import_run(files, directory, options, progress=False)


def test_an_import_is_known_to_be_complete_where_its_manifest_is_lost(small_run: grokviz.Run, tmp_path: Path) -> None:
    files = [small_run.directory / "checkpoints" / f"epoch_{epoch:06d}.safetensors" for epoch in small_run.epochs[-2:]]
    options = ImportOptions(operation="addition", split="unknown", epochs=small_run.epochs[-2:])
    for lost, status in ((0, "imported"), (1, "importing")):
        run = grokviz.import_run(files, tmp_path / status, options, progress=False)
        (run.directory / "manifest.json").unlink()
        for epoch in run.epochs[:lost]:
            (run.directory / "checkpoints" / f"epoch_{epoch:06d}.safetensors").unlink()
        grokviz.repair_run(run.directory)
        assert grokviz.open_run(run.directory).status == status


def test_a_pickle_that_makes_bytes_of_any_length_is_refused_before_it_does(tmp_path: Path) -> None:
    path = saved({"a": torch.zeros(1)}, tmp_path / "bomb.pt")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    length = (3 * 10**9).to_bytes(5, "little")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            made = b"\x80\x02cbuiltins\nbytearray\n\x8a\x05" + length + b"\x85R."
            archive.writestr(name, made if name.endswith("data.pkl") else content)
    with pytest.raises(GrokvizError, match="makes a bytearray, which may take any memory: it is not read"):
        grokviz.import_run(path, tmp_path / "run", UNTRAINED)


def test_a_pickle_that_unpacks_to_far_more_than_its_file_is_refused_before_it_does(tmp_path: Path) -> None:
    path = saved({"a": torch.zeros(1)}, tmp_path / "bomb.pt")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(name, bytes((1 << 28) + 1) if name.endswith("data.pkl") else content)
    with pytest.raises(GrokvizError, match="holds a pickle of 268,435,457 bytes, of which 268,435,456 are read"):
        grokviz.import_run(path, tmp_path / "run", UNTRAINED)


def test_chance_of_an_untrained_network_is_ln_of_its_classes(tiny_config: grokviz.RunConfig, tmp_path: Path) -> None:
    # a sanity check of the whole way: weights of nearly zero answer by chance
    state = {
        name: values * 1e-4 for name, values in initial_model(tiny_config).state_dict().items() if "mask" not in name
    }
    state = {name: values for name, values in state.items() if "IGNORE" not in name}
    run = grokviz.import_run(saved(state, tmp_path / "model.pt"), tmp_path / "run", UNTRAINED, progress=False)
    measured = grokviz.measure(run, progress=False)
    assert measured["loss"].item() == pytest.approx(math.log(8), rel=1e-5)


def odd(**changes: object) -> dict[str, object]:
    return {"model": another(), "train_losses": [1.0, 0.5], **changes}


def selfish() -> dict[str, object]:
    config: dict[str, object] = {"p": 7}
    config["self"] = config
    return config


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (odd(epoch=float("inf")), "network of epoch inf, but an epoch is a whole number"),
        (odd(epoch=float("nan")), "network of epoch nan, but"),
        (odd(epoch=-3), "network of epoch -3, but"),
        (odd(epoch=10**30), "but at most 1,000,000,000 is one"),
        (odd(train_losses=torch.tensor(1.0)), "'train_losses' that is no list of numbers"),
        (odd(train_losses=[10**400]), "'train_losses' that are no numbers"),
        (odd(checkpoints={"0": another()}), "'checkpoints', but it is not a list of state dicts"),
        (
            odd(checkpoints=[another(), None], checkpoint_epochs=[1, 2]),
            "'checkpoints', but it is not a list of state dicts",
        ),
        (
            odd(checkpoints=[another()], checkpoint_epochs=[float("nan")]),
            "'checkpoint_epochs' is not 1 ascending epochs",
        ),
        (odd(train_indices=torch.zeros(3, 2)), "'train_indices' that are no list of indices"),
        (odd(train_indices=[1.5, 2]), "hold 1.5, but must be indices"),
        (odd(train_indices=[float("inf")]), "hold inf, but must be indices"),
        (odd(config={"n_layers": 2}), "states n_layers = 2, but measures are of networks with one layer"),
        (odd(config={"normalization_type": "LNPre"}), "states normalization_type = 'LNPre', but"),
        (odd(config={"use_attn_scale": False}), "states use_attn_scale = False, but"),
        (odd(config={"p": 11}), "states p = 11, but the network has 7"),
        (odd(config={"n_heads": 4}), "4 heads are given or stated, but its tensors are of 3"),
        (
            odd(config={"attn_coeff": 0.5}),
            "an attention coefficient of 0.5 is given or stated, but the layout of TransformerLens",
        ),
        (another(**{"embed.W_E": torch.ones(8, 12).to_sparse()}), "embed.W_E is sparse, quantised or empty of values"),
        (another(**{"embed.W_E": torch.empty(0, 12)}), "embed.W_E has vocab = 0: it is empty"),
        (another(**{"bad\x1b[31m": torch.ones(3)}), "which no parameter is"),
    ],
    ids=range(21),
)
def test_odd_content_ends_in_one_line_and_nothing_is_written(values: object, says: str, tmp_path: Path) -> None:
    path = saved(values, tmp_path / "odd.pt")
    options = ImportOptions(operation="addition", split=None if "indices" in says else "unknown")
    with pytest.raises(GrokvizError) as error:
        grokviz.import_run(path, tmp_path / "run", options, progress=False)
    assert says in str(error.value)
    assert str(error.value).isprintable()
    assert not (tmp_path / "run").exists()


def test_a_configuration_that_holds_itself_is_kept_as_far_as_it_is_plain(tmp_path: Path) -> None:
    path = saved(odd(config=selfish(), train_losses=[0.0] * 3, epoch=2), tmp_path / "self.pt")
    run = grokviz.import_run(path, tmp_path / "run", UNTRAINED, progress=False)
    assert run.origin is not None
    assert run.origin.stated["p"] == 7


def test_losses_of_an_interval_are_put_at_its_epochs(small_run: grokviz.Run, tmp_path: Path) -> None:
    every = small_run.history["train_loss"].sel(epoch=list(range(0, 601, 100))).values.tolist()
    (state,) = states_of(small_run, [600])
    path = saved({"model": state, "epoch": 600, "train_losses": every}, tmp_path / "interval.pt")
    run = grokviz.import_run(path, tmp_path / "run", progress=False)
    assert run.epochs[0] - 600 in (0, 1)  # whether it was kept before or after that update, one network cannot tell
    stored = run.history.sel(epoch=list(range(0, 501, 100)))["train_loss"].values.tolist()
    assert stored == every[:6]


def test_several_files_with_losses_are_one_run_with_the_longest_curve(small_run: grokviz.Run, tmp_path: Path) -> None:
    paths = []
    for epoch in (100, 600):
        (state,) = states_of(small_run, [epoch])
        losses = small_run.history["train_loss"].values[:epoch].tolist()
        paths.append(saved({"model": state, "epoch": epoch - 1, "train_losses": losses}, tmp_path / f"{epoch}.pth"))
    run = grokviz.import_run(paths, tmp_path / "run", progress=False)
    assert run.epochs == (100, 600)
    np.testing.assert_array_equal(run.history["train_loss"][:600], small_run.history["train_loss"][:600])


def test_losses_of_other_networks_are_left_out_and_that_is_said(small_run: grokviz.Run, tmp_path: Path) -> None:
    epochs = [100, 200, 300]
    whole = {
        "state_dicts": states_of(small_run, epochs),
        "epochs": [epoch - 1 for epoch in epochs],
        "train_losses": (small_run.history["train_loss"].values[:-1] * 7).tolist(),
    }
    run = grokviz.import_run(saved(whole, tmp_path / "other.pth"), tmp_path / "run", progress=False)
    assert run.origin is not None
    assert (
        "train: the stored losses are not those of these networks (median ratio 7), and left out"
        in run.origin.found["stored losses"]
    )
    assert run.history["epoch"].values.tolist() == epochs
