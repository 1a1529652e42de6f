"""What is exported is what other code reads: the same logits, in every layout, and a folder that a hub's client takes."""

import json
from pathlib import Path

import pytest
import torch
import transformer_lens
from huggingface_hub import ModelCard
from safetensors.torch import load_file

import grokviz
from grokviz.cli.main import main
from grokviz.errors import GrokvizError
from grokviz.exporting.layouts import LAYOUTS
from published_layouts import (
    all_tokens,
    as_progress_measures,
    as_transformer_lens_4,
    logits_by_hand,
    random_parameters,
    without_biases_of_attention,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*it is not known which pairs:grokviz.errors.GrokvizWarning")

UNTRAINED = grokviz.ImportOptions(operation="addition", split="unknown")


def imported(parameters: dict[str, torch.Tensor], folder: Path) -> grokviz.Run:
    torch.save(parameters, folder / "network.pt")
    return grokviz.import_run(folder / "network.pt", folder / "run", UNTRAINED, progress=False)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("p", [7, 8])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_network_comes_back_the_same_from_every_layout(layout: str, p: int, suffix: str, tmp_path: Path) -> None:
    parameters = random_parameters(p, biases=True, classes="tokens", d_head=4)
    if layout == "progress-measures":
        parameters = without_biases_of_attention(parameters)
    run = imported(parameters, tmp_path)
    out = grokviz.export_run(run, tmp_path / f"exported{suffix}", format=layout)
    options = grokviz.ImportOptions(operation="addition", split="unknown", heads=3)
    again = grokviz.import_run(out, tmp_path / "again", options, progress=False)
    for name, values in run.weights("last").items():
        assert (again.weights("last")[name] == values).all()
    with torch.no_grad():
        logits = again.model("last").double()(all_tokens(p))[:, -1]
    expected = logits_by_hand(parameters, all_tokens(p))
    assert ((logits - expected).norm() / expected.norm()).item() < 1e-6


def test_the_files_are_those_that_the_other_code_writes_itself(tmp_path: Path) -> None:
    parameters = without_biases_of_attention(random_parameters(7, biases=True, classes="tokens", d_head=4))
    run = imported(parameters, tmp_path)
    native = torch.load(grokviz.export_run(run, tmp_path / "n.pt", format="transformer-lens-4"), weights_only=True)
    theirs = as_transformer_lens_4(parameters)
    assert {name: tensor.tolist() for name, tensor in native.items()} == {n: t.tolist() for n, t in theirs.items()}
    saved = torch.load(grokviz.export_run(run, tmp_path / "p.pt", format="progress-measures"), weights_only=True)
    theirs = as_progress_measures(parameters)
    assert {name: tensor.tolist() for name, tensor in saved["model"].items()} == {
        n: t.tolist() for n, t in theirs.items()
    }
    assert saved["config"]["p"] == 7


def test_a_layout_that_cannot_hold_the_network_refuses_it(tmp_path: Path) -> None:
    for name, parameters, says in (
        (
            "biases",
            random_parameters(7, biases=True, classes="tokens", d_head=4),
            "has no b_Q, b_K, b_V, b_O, b_U, which",
        ),
        (
            "classes",
            random_parameters(7, biases=False, d_head=4),
            "as many classes as tokens, but this network has 7 classes and 8",
        ),
        (
            "heads",
            random_parameters(7, biases=False, classes="tokens"),
            "wide together, but here they are 15, and d_model is 12",
        ),
    ):
        (tmp_path / name).mkdir()
        run = imported(parameters, tmp_path / name)
        with pytest.raises(GrokvizError, match=says):
            grokviz.export_run(run, tmp_path / name / "out.pt", format="progress-measures")
        assert not (tmp_path / name / "out.pt").exists()


def test_a_run_of_ones_own_comes_back_from_the_progress_measures_layout_with_its_epochs_and_losses(
    quick_run: grokviz.Run, tmp_path: Path
) -> None:
    out = grokviz.export_run(quick_run, tmp_path / "out.pth", format="progress-measures", epoch=2000)
    run = grokviz.import_run(out, tmp_path / "run", progress=False)
    assert run.epochs == (2000,)
    assert run.config.task == quick_run.config.task
    assert run.history["train_loss"][:2000].values.tolist() == quick_run.history["train_loss"][:2000].values.tolist()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*HookedTransformer:DeprecationWarning")
def test_the_folder_for_a_hub_loads_by_its_own_card(quick_run: grokviz.Run, tmp_path: Path) -> None:
    folder = grokviz.export_run(quick_run, tmp_path / "hub", format="hub")
    card = ModelCard.load(folder / "README.md")
    card.validate = None  # that asks the hub
    assert card.data.library_name == "transformer-lens"
    assert "grokking" in card.data.tags
    assert "key frequencies" in card.text
    assert "grokked" in card.text
    linked = [part.split(")")[0] for part in card.text.split("](")[1:]]
    assert linked
    assert all((folder / name).is_file() for name in linked)
    described = json.loads((folder / "config.json").read_text())
    config = transformer_lens.HookedTransformerConfig(**described["architecture"])
    model = transformer_lens.HookedTransformer(config)
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    with torch.no_grad():
        assert (model(all_tokens(59)) == quick_run.model("last")(all_tokens(59))).all()
    code = (
        card.text.split("```python")[1]
        .split("```")[0]
        .replace('"model.safetensors"', repr(str(folder / "model.safetensors")))
    )
    values: dict[str, object] = {}
    exec(code, values)
    assert values["logits"].argmax().item() == 7


def test_the_command_says_what_it_wrote_and_overwrites_nothing(
    quick_run: grokviz.Run, in_tmp_path: Path, capsys
) -> None:
    assert main(["export", str(quick_run.directory)]) == 0
    assert capsys.readouterr().out == "exported: quick_epoch_4000.pt (transformer-lens, epoch 4,000)\n"
    assert main(["export", str(quick_run.directory)]) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err
    assert main(["export", str(quick_run.directory), "--epoch", "123"]) == 2
    assert "no checkpoint of epoch 123" in capsys.readouterr().err
