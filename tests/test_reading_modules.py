"""Modules of others, read as our networks."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import relu, scaled_dot_product_attention

import grokviz
from fixtures import initial_model
from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.errors import GrokvizError
from grokviz.monitoring.finding import find
from grokviz.monitoring.modules import tensors_of, unwrapped
from modules import generated

N = 7


def found_in(module: nn.Module, **given):
    return find(unwrapped(module), n=N, names=given.get("names"), logits=given.get("logits"))


@pytest.mark.parametrize("seed", range(30))
def test_a_generated_module_is_found_tensor_by_tensor_or_refused(seed: int) -> None:
    # given a module with names that say nothing, turned and fused as it pleases; every third computes something else
    case = generated(seed, N)

    # when it is read
    if case.spoilt:
        with pytest.raises(GrokvizError, match=r"cannot be read as a network of 7 elements: .*largest"):
            found_in(case.module)
        return
    found = found_in(case.module)

    # then every parameter is the module's own, and no other is there
    own = tensors_of(unwrapped(case.module))
    assert set(found.readings) == set(case.core.ways)
    assert found.activation.name == case.core.activation
    read = found.read(own)
    for name in case.core.ways:
        torch.testing.assert_close(read[name], case.core.of(name).detach(), rtol=0, atol=0)


class Written(nn.Module):
    """A transformer as a tutorial writes it."""

    def __init__(
        self, *, n: int = N, d: int = 16, scale: float | None = None, dropout: float = 0.0, places: int = 3
    ) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(n + 1, d), nn.Embedding(places, d)
        self.attention, self.project = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down, self.unembed = nn.Linear(d, 32), nn.Linear(32, d), nn.Linear(d, n, bias=False)
        self.dropout, self.scale = nn.Dropout(dropout), scale

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.position(torch.arange(3))
        parts = (part.unflatten(2, (4, -1)).transpose(1, 2) for part in self.attention(x).chunk(3, dim=2))
        read = scaled_dot_product_attention(*parts, is_causal=True, scale=self.scale)
        x = x + self.dropout(self.project(read.transpose(1, 2).flatten(2)))
        return self.unembed(x + self.down(relu(self.up(x))))


class Attending(nn.Module):
    """One with torch's own attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(N + 1, 16), nn.Parameter(torch.randn(1, 3, 16))
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.mlp, self.unembed = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16)), nn.Linear(16, N + 1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.position
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.unembed(x + self.mlp(x))


class Head(nn.Module):
    """A head with tensors of its own, and a mask that it keeps."""

    def __init__(self, *, d: int = 16, d_head: int = 4, bias: bool = False) -> None:
        super().__init__()
        self.key, self.query, self.value = (nn.Linear(d, d_head, bias=bias) for _ in range(3))
        self.register_buffer("tril", torch.tril(torch.ones(3, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        k, q = self.key(x), self.query(x)
        scores = (q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5).masked_fill(self.tril == 0, float("-inf"))
        return scores.softmax(-1) @ self.value(x)


class OfHeads(nn.Module):
    """A transformer of a list of heads, with an MLP in a list, too, whose two matrices have one shape."""

    def __init__(self, *, heads: int = 4, bias: bool = False, layers: int = 1) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(N + 1, 16), nn.Embedding(3, 16)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "heads": nn.ModuleList(Head(bias=bias) for _ in range(heads)),
                    "project": nn.Linear(4 * heads, 16),
                    "mlp": nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16)),
                }
            )
            for _ in range(layers)
        )
        self.unembed = nn.Linear(16, N)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.position(torch.arange(3))
        for block in self.blocks:
            x = x + block["project"](torch.cat([head(x) for head in block["heads"]], dim=-1))
            x = x + block["mlp"](x)
        return self.unembed(x)


@pytest.mark.parametrize(("heads", "bias"), [(4, False), (4, True), (3, False), (1, True)])
def test_heads_that_are_modules_of_their_own_are_found(heads: int, bias: bool) -> None:
    torch.manual_seed(0)
    module = OfHeads(heads=heads, bias=bias)
    found, own = found_in(module), tensors_of(module)
    read = found.read(own)
    for name in ("query", "key", "value"):
        tensors = [getattr(head, name) for head in module.blocks[0]["heads"]]
        short = f"W_{name[0].upper()}"
        torch.testing.assert_close(read[short], torch.stack([each.weight.T for each in tensors]), rtol=0, atol=0)
        if bias:
            torch.testing.assert_close(
                read[short.replace("W", "b")], torch.stack([each.bias for each in tensors]), rtol=0, atol=0
            )
    assert ("blocks.0.heads.*.query.weight [" in found.in_words()) == (heads > 1)
    # and the module is as it was, of its own memory
    assert module.blocks[0]["heads"][0].query.weight.is_contiguous()
    assert (
        found_in(module, names={"blocks.0.heads.*.query.weight": "W_Q"} if heads > 1 else None).readings
        == found.readings
    )


def test_a_loop_over_heads_of_their_own_leaves_their_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = OfHeads(bias=True)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    task = TaskConfig(p=N)
    tokens = torch.cat([torch.from_numpy(task.task.pairs), torch.full((N * N, 1), N)], dim=1)
    with grokviz.Monitor(tmp_path / "run", task, every=1) as monitor:
        for step in range(3):
            monitor.see(step, module)
            optimizer.zero_grad()
            module(tokens)[:, -1].square().mean().backward()
            optimizer.step()
    assert monitor.run.epochs == (0, 1, 2, 3)
    logits = monitor.run.model("last")(tokens)[:, -1, :N]
    torch.testing.assert_close(logits, module(tokens)[:, -1].detach(), rtol=0, atol=1e-5, check_dtype=False)
    assert "W_Q = blocks.0.heads.*.query.weight [" in monitor.run.origin.layout


def test_what_is_no_list_of_heads_is_refused_with_what_it_is() -> None:
    torch.manual_seed(0)
    with pytest.raises(GrokvizError, match=r"it has 2 layers \(blocks.0, blocks.1\)"):
        found_in(OfHeads(layers=2))
    module = OfHeads()
    module.blocks[0]["heads"][2] = Head(d_head=6)
    module.blocks[0]["project"] = nn.Linear(18, 16)
    with pytest.raises(GrokvizError, match="cannot be read as a network of 7 elements: "):
        found_in(module)
    with pytest.raises(
        GrokvizError, match=r"names has 'blocks.0.heads.\*.qery.weight'.* did you mean blocks.0.heads.\*.query.weight"
    ):
        found_in(OfHeads(), names={"blocks.0.heads.*.qery.weight": "W_Q"})


def test_modules_as_tutorials_write_them_are_found() -> None:
    torch.manual_seed(0)
    found = found_in(Written())
    assert found.readings["W_K"].said == "attention.weight [(part head d_head) d_model, part 2 of 3]"
    assert found.readings["b_K"].said == "attention.bias [(part head d_head), part 2 of 3]"
    assert found.activation.name == "relu"
    found = found_in(Attending())
    assert found.readings["W_V"].said == "attention.in_proj_weight [(part head d_head) d_model, part 3 of 3]"
    assert found.activation.name == "gelu"


def test_of_more_positions_those_are_read_that_there_are() -> None:
    found = found_in(Written(places=10))
    assert found.readings["W_pos"].said == "position.weight [position d_model, the first 3 rows]"
    assert found.parameters(tensors_of(Written(places=10)))["pos_embed.W_pos"].shape == (3, 16)


@pytest.mark.parametrize("architecture", ["transformer", "mlp", "mlp_tied"])
def test_our_own_hooked_models_are_found_by_their_names(architecture: str) -> None:
    config = RunConfig(task=TaskConfig(p=N), model=ModelConfig(architecture=architecture, d_model=16, d_mlp=32, seed=0))
    model = initial_model(config)
    found = found_in(model)
    assert found.by_names
    assert found.architecture.name == architecture
    parameters = found.parameters(tensors_of(model))
    assert list(parameters) == [p.name for p in config.blueprint.architecture.parameters]
    assert all((parameters[name] == values.detach().numpy()).all() for name, values in model.named_parameters())


def test_what_is_wrapped_around_a_module_is_seen_through() -> None:
    module = Written()
    assert unwrapped(torch.compile(module, backend="eager")) is module
    assert unwrapped(nn.DataParallel(module)) is module
    inside = nn.ModuleDict({"model": module})
    assert unwrapped(inside) is inside  # that is no wrapper of torch's


def test_the_module_is_left_as_it_is() -> None:
    # given a module in training mode with gradients, a hook that would be noticed, and a generator at some state
    torch.manual_seed(3)
    module, called = Written(), []
    module(torch.tensor([[1, 2, N]])).sum().backward()
    module.up.register_forward_hook(lambda *arguments: called.append(arguments))
    before = {name: values.detach().clone() for name, values in module.state_dict().items()}
    gradients = [values.grad.clone() for values in module.parameters()]
    state, versions = torch.get_rng_state(), [values._version for values in module.parameters()]

    # when it is read
    found_in(module)

    # then nothing of that is another
    assert called == []
    assert module.training
    assert len(module.up._forward_hooks) == 1
    assert torch.equal(torch.get_rng_state(), state)
    assert [values._version for values in module.parameters()] == versions
    for name, values in module.state_dict().items():
        assert torch.equal(values, before[name])
    for values, gradient in zip(module.parameters(), gradients, strict=True):
        assert torch.equal(values.grad, gradient)


class Normalised(Written):
    def __init__(self) -> None:
        super().__init__()
        self.normalise = nn.LayerNorm(16)


class Silent(Written):
    """One that normalises without a word in its parameters."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.layer_norm(super().forward(tokens), (N,))


class Random(Written):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(super().forward(tokens), training=self.training)


def two_layers() -> nn.Module:
    from transformer_lens import HookedTransformer

    config = RunConfig(task=TaskConfig(p=N), model=ModelConfig(d_model=16, d_mlp=32, n_heads=2, d_head=8))
    return HookedTransformer({**config.blueprint.settings, "n_layers": 2, "init_weights": True, "device": "cpu"})


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Normalised, r"the module has a normalisation, normalise \(LayerNorm\)"),
        (lambda: Written(dropout=0.1), r"the module has dropout in training mode, dropout \(p = 0\.1\)"),
        (Silent, r"no reading of its tensors as embedding and unembedding gives its logits"),
        (Random, r"two passes of the module over the same pairs give different logits"),
        (lambda: Written(scale=1.0), r"no reading of its tensors as attention gives its logits: the nearest of"),
        (lambda: Written(n=11), r"none of them has the tokens of 7 elements; is the task that of the module"),
        (lambda: nn.Linear(3, 4), r"Linear cannot be read as a network of 7 elements"),
    ],
)
def test_what_the_architecture_cannot_be_is_refused_with_what_was_found(module, said: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(GrokvizError, match=said) as caught:
        found_in(module())
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated")
def test_two_layers_are_refused_as_such() -> None:
    with pytest.raises(GrokvizError, match=r"it has 2 layers \(blocks\.0, blocks\.1\)"):
        found_in(two_layers())


def test_dropout_in_evaluation_mode_is_none() -> None:
    assert found_in(Written(dropout=0.1).eval()).readings


def test_names_that_are_given_hold_and_what_is_left_out_is_found() -> None:
    torch.manual_seed(0)
    names = {"embed.weight": "W_E", "attention.weight": ("W_Q", "W_K", "W_V"), "unembed.weight": "unembed.W_U"}
    assert found_in(Written(), names=names).readings["W_out"].source == "down.weight"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            {"embd.weight": "W_E"},
            r"names has 'embd\.weight', which the module does not have; did you mean embed\.weight",
        ),
        (
            {"embed.weight": "W_e"},
            r"names has 'W_e' for embed\.weight, which is none of our parameters; did you mean W_E",
        ),
        (
            {"embed.weight": "W_E", "unembed.weight": "W_E"},
            r"names has W_E for embed\.weight and for unembed\.weight; give it once",
        ),
        ({"up.weight": "W_out"}, r"cannot be read as a network of 7 elements: .*MLP"),
        ({"attention.weight": ("W_K", "W_Q", "W_V")}, r"no reading of its tensors as attention gives its logits"),
        ("W_E", r"names must be a mapping"),
    ],
)
def test_names_that_do_not_fit_are_refused(names, said: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(GrokvizError, match=said):
        found_in(Written(), names=names)


class OneHot(Written):
    def forward(self, given: dict) -> dict:
        return {"logits": super().forward(given["input_ids"])}


def test_logits_are_had_as_somebody_says() -> None:
    torch.manual_seed(0)

    def logits(model: nn.Module, pairs: torch.Tensor) -> torch.Tensor:
        return model({"input_ids": torch.cat([pairs, torch.full((len(pairs), 1), N)], dim=1)})

    with pytest.raises(GrokvizError, match="asked with"):
        found_in(OneHot())
    assert found_in(OneHot(), logits=logits).asked == "as given"


def test_a_module_that_cannot_be_copied_is_refused() -> None:
    module = Written()
    module.kept = module.embed.weight * 2
    with pytest.raises(GrokvizError, match="the module cannot be copied"):
        found_in(module)


def test_zeros_at_the_start_are_told_apart() -> None:
    torch.manual_seed(0)
    module = Written()
    for values in module.parameters():
        if values.ndim == 1:
            nn.init.zeros_(values)
    nn.init.zeros_(module.down.weight)
    nn.init.zeros_(module.project.weight)
    assert copy.deepcopy(found_in(module).readings).keys() == found_in(Written()).readings.keys()
