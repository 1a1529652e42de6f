"""Modules such as somebody might train, made by a generator: the same networks, held and called in many ways."""

import random
import re
from dataclasses import dataclass, field
from math import prod

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, relu

NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lam mu nu xi omicron pi rho sigma tau phi chi psi".split()
)
ACTIVATIONS = {"relu": relu, "gelu": gelu, "square": torch.square}


class Held(nn.Module):
    """Parameters under names that say nothing, each in an orientation of its own; what they are is known to `of` alone."""

    def __init__(self, n: int, chance: random.Random) -> None:
        super().__init__()
        self.n = n
        self.names = chance.sample(NAMES, len(NAMES))
        self.chance = chance
        self.ways: dict[str, tuple[str, str, int | None]] = {}
        self.sizes: dict[str, int] = {}
        self.of_lists: set[str] = set()

    def hold(self, names: str | tuple[str, ...], left: str, right: str, *, apart: bool = False, **sizes: int) -> None:
        """Hold one parameter, or several in one tensor, with the axes `left` that become `right`; each element of the first axis
        `apart`, in a list of modules.
        """
        known = {**self.sizes, **sizes}
        dims = [prod(known[axis] for axis in group.strip("()").split()) for group in re.findall(r"\([^)]*\)|\S+", left)]
        name = self.names.pop()
        values = torch.randn(dims, generator=torch.Generator().manual_seed(self.chance.randrange(2**31)))
        if apart:
            self.of_lists.add(name)
            for each, own in zip(self.lists, values * 0.5, strict=True):
                setattr(each, name, nn.Parameter(own.clone()))
        else:
            setattr(self, name, nn.Parameter(values * 0.5))
        for part, each in enumerate((names,) if isinstance(names, str) else names):
            self.ways[each] = (name, f"{left} -> {right}", None if isinstance(names, str) else part)

    def of(self, name: str) -> Tensor | None:
        """One of the network's own parameters; None where it has none."""
        if name not in self.ways:
            return None
        held, axes, part = self.ways[name]
        known = {axis: size for axis, size in self.sizes.items() if axis in re.findall(r"\w+", axes.split("->")[0])}
        whole = (
            torch.stack([getattr(each, held) for each in self.lists]) if held in self.of_lists else getattr(self, held)
        )
        found = rearrange(whole, axes, **known)
        return found if part is None else found[part]


def plus(values: Tensor, bias: Tensor | None) -> Tensor:
    return values if bias is None else values + bias


class Transformer(Held):
    """One layer of attention and MLP, computed at every position, with a causal mask."""

    def __init__(self, n: int, chance: random.Random) -> None:
        super().__init__(n, chance)
        heads, d_head = chance.choice([1, 2, 4]), chance.choice([4, 5, 8])
        self.positions, self.apart = chance.choice([3, 3, 2]), chance.random() < 0.2
        vocab = n * (2 if self.apart else 1) + (self.positions == 3)
        classes = chance.choice([n, vocab])
        self.activation, self.last = chance.choice(["relu", "gelu"]), chance.random() < 0.3
        d_model = chance.choice([heads * d_head, 12])
        self.sizes = {
            "vocab": vocab, "position": self.positions, "classes": classes, "d_model": d_model, "head": heads, "d_head": d_head,
            "neuron": chance.choice([d_model, 20, 24]), "part": 3,
        }  # fmt: skip
        turn = lambda *ways: chance.choice(ways)  # noqa: E731
        self.hold("W_E", turn("vocab d_model", "d_model vocab"), "vocab d_model")
        self.hold("W_pos", turn("position d_model", "d_model position"), "position d_model")
        wide = turn("(head d_head)", "(d_head head)")
        flat = [f"{wide} d_model", f"d_model {wide}"]
        solid = ["head d_model d_head", "d_model head d_head", "head d_head d_model"]
        qkv, kind = (
            "head d_model d_head",
            turn("separate", "separate", "solid", "fused", "two", "list", "list of fused"),
        )
        order = tuple(chance.sample(["W_Q", "W_K", "W_V"], 3))
        biased = chance.random() < 0.6
        if kind.startswith("list"):
            self.lists = nn.ModuleList(nn.Module() for _ in range(heads))
        if kind == "list of fused":
            left = turn("head (part d_head) d_model", "head d_model (part d_head)")
            self.hold(order, left, f"part {qkv}", apart=True)
            if biased:
                self.hold(tuple(f"b_{w[-1]}" for w in order), "head (part d_head)", "part head d_head", apart=True)
        elif kind == "list":
            for name in order:
                self.hold(name, turn("head d_head d_model", "head d_model d_head"), qkv, apart=True)
                if biased:
                    self.hold(f"b_{name[-1]}", "head d_head", "head d_head", apart=True)
        elif kind == "fused":
            left = turn("(part head d_head) d_model", "d_model (head part d_head)", "part d_model (head d_head)")
            self.hold(order, left, f"part {qkv}")
            if biased:
                self.hold(tuple(f"b_{w[-1]}" for w in order), left.replace("d_model", "").strip(), "part head d_head")
        elif kind == "two":
            self.sizes["part"] = 2
            self.hold(order[0], turn(*flat).replace(wide, "(head d_head)"), qkv)
            self.hold(order[1:], "(part head d_head) d_model", f"part {qkv}")
        else:
            for name in order:
                self.hold(name, turn(*(solid if kind == "solid" else flat)), qkv)
                if biased:
                    self.hold(f"b_{name[-1]}", turn("head d_head") if kind == "solid" else wide, "head d_head")
        own = turn(*solid[::2]) if kind == "solid" else turn(*flat) if kind == "separate" else "d_model (head d_head)"
        if kind.startswith("list") and chance.random() < 0.3:
            self.hold("W_O", "head d_model d_head", "head d_head d_model", apart=True)
        else:
            self.hold("W_O", own, "head d_head d_model")
        self.hold("W_in", turn("d_model neuron", "neuron d_model"), "d_model neuron")
        self.hold("W_out", turn("d_model neuron", "neuron d_model"), "neuron d_model")
        if classes == vocab and chance.random() < 0.3:
            name, axes, _ = self.ways["W_E"]
            self.ways["W_U"] = (name, axes.replace("vocab", "classes").split(" -> ")[0] + " -> d_model classes", None)
        else:
            self.hold("W_U", turn("d_model classes", "classes d_model"), "d_model classes")
        for bias, axis in (("b_O", "d_model"), ("b_in", "neuron"), ("b_out", "d_model"), ("b_U", "classes")):
            if chance.random() < 0.5:
                self.hold(bias, axis, axis)

    def forward(self, tokens: Tensor) -> Tensor:
        o = self.of
        x = o("W_E")[tokens] + o("W_pos")
        q, k, v = (plus(torch.einsum("bpm,hmd->bphd", x, o(f"W_{each}")), o(f"b_{each}")) for each in "QKV")
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / self.sizes["d_head"] ** 0.5
        n = self.positions
        scores = scores.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -torch.inf)
        z = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v)
        x = x + plus(torch.einsum("bqhd,hdm->bqm", z, o("W_O")), o("b_O"))
        neurons = ACTIVATIONS[self.activation](plus(x @ o("W_in"), o("b_in")))
        logits = plus((x + plus(neurons @ o("W_out"), o("b_out"))) @ o("W_U"), o("b_U"))
        return logits[:, -1] if self.last else logits


class TwoEmbeddings(Held):
    """An MLP of two embeddings, or of one for both."""

    def __init__(self, n: int, chance: random.Random) -> None:
        super().__init__(n, chance)
        d_model = chance.choice([5, 8])
        self.sizes = {
            "element": n,
            "classes": n,
            "d_model": d_model,
            "both": 2 * d_model,
            "neuron": chance.choice([10, 16, 21]),
        }
        self.activation, self.apart_call = chance.choice(["relu", "gelu", "square"]), chance.random() < 0.5
        for name in ("W_x", "W_y") if chance.random() < 0.7 else ("W_x",):
            self.hold(name, chance.choice(["element d_model", "d_model element"]), "element d_model")
        self.hold("W", chance.choice(["both neuron", "neuron both"]), "both neuron")
        self.hold("W_U", chance.choice(["neuron classes", "classes neuron"]), "neuron classes")
        if chance.random() < 0.5:
            self.hold("b", "neuron", "neuron")

    def forward(self, a: Tensor, b: Tensor | None = None) -> Tensor:
        if self.apart_call != (b is not None):
            raise TypeError("it is called otherwise")
        a, b = (a, b) if b is not None else (a[:, 0], a[:, 1])
        y = self.of("W_y") if "W_y" in self.ways else self.of("W_x")
        before = plus(torch.cat([self.of("W_x")[a], y[b]], dim=1) @ self.of("W"), self.of("b"))
        return ACTIVATIONS[self.activation](before) @ self.of("W_U")


class Inside(nn.Module):
    """A module around another, as they are written."""

    def __init__(self, core: nn.Module) -> None:
        super().__init__()
        self.core = core

    def forward(self, *tokens: Tensor) -> Tensor:
        return self.core(*tokens)


@dataclass(frozen=True)
class Case:
    """A generated module, and what is known of it."""

    module: nn.Module
    core: Held
    spoilt: str = field(default="")
    """What it computes besides; '' for nothing."""


def generated(seed: int, n: int = 7) -> Case:
    """The module of a seed. Every third computes something that its parameters do not say."""
    chance = random.Random(seed)
    core = (Transformer if chance.random() < 0.7 else TwoEmbeddings)(n, chance)
    module: nn.Module = core
    wrapped = chance.choice(["", "", "inside", "compiled"])
    if wrapped == "inside":
        module = Inside(core)
    spoilt = chance.choice(["twice", "norm", "cosine", "sum"]) if seed % 3 == 2 else ""
    if spoilt:
        module = Spoilt(module, spoilt)
    if wrapped == "compiled":
        module = torch.compile(module, backend="eager")
    return Case(module, core, spoilt)


class Spoilt(nn.Module):
    """A module whose forward is not that of its parameters."""

    def __init__(self, core: nn.Module, how: str) -> None:
        super().__init__()
        self.core, self.how = core, how

    def forward(self, *tokens: Tensor) -> Tensor:
        logits = self.core(*tokens)
        if self.how == "twice":
            return 2 * logits
        if self.how == "norm":
            return layer_norm(logits, logits.shape[-1:])
        if self.how == "cosine":
            return logits.cos()
        return logits.cumsum(-1)
