"""A copy of a module, tried as one network after another.

A copy of the module is filled with random numbers, part after part, and run; a reading holds if our exact forward gives the same
logits with the same numbers read so. So names need not mean anything, what is zero at the start is told apart all the same, and a
module that computes anything else than its tensors say is found out. First come the parts that act where attention writes
nothing, then values and outputs under equal attention, then queries, keys and the number of heads, then each bias by itself; in
the end all at once, and the module as it is.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, permutations, product

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.models.activations import GELU, RELU, SQUARE, Activation
from grokviz.models.architecture import Architecture, OperandTokens
from grokviz.models.mlp import MLP, MLP_TIED
from grokviz.models.transformer import TRANSFORMER
from grokviz.models.weights import Weights
from grokviz.monitoring.found import Found, sizes_in
from grokviz.monitoring.modules import Copy, Tensors, relative
from grokviz.monitoring.naming import Allowed
from grokviz.monitoring.readings import ORDERS, Readings, bias_reading, fused_readings, readings_of, with_heads

EQUAL = 1e-5
"""Difference of logits, as a share of the largest, up to which two forwards are one."""
PAIRS = 32
"""Pairs that a copy is asked for."""

ATTENTION = ("W_Q", "W_K", "W_V")
MATRICES = {each: tuple(p.short_name for p in each.matrices) for each in (TRANSFORMER, MLP, MLP_TIED)}
BIASES = {each: tuple(p.short_name for p in each.parameters if p.is_bias) for each in (TRANSFORMER, MLP, MLP_TIED)}


@dataclass(frozen=True)
class Shape:
    """What a network may read: the sizes that the task and its input decide."""

    n: int
    positions: int
    """0 for an MLP, which has none."""
    apart: bool

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return self.n * (2 if self.apart else 1) + (self.positions == 3)


class Problem:
    """How far the search came, and what was wrong there. A class, because each attempt adds to it."""

    def __init__(self) -> None:
        self.stage = -1.0
        self.said = ""

    def at(self, stage: float, said: str) -> None:
        """Keep what is wrong at the furthest stage."""
        if stage > self.stage:
            self.stage, self.said = stage, said


@dataclass(frozen=True)
class Part:
    """What of a network is read so far."""

    readings: Readings
    sizes: Mapping[str, int]
    activation: Activation
    attention: tuple[str, ...] = ()
    """The tensors that attention must be made of."""


@dataclass(frozen=True)
class Trial:
    """A copy of a module, tried as a network of one shape, asked in one way."""

    copy: Copy
    sources: Tensors
    """The tensors that are to be read: the copy's own memory."""
    shape: Shape
    allowed: Allowed
    problem: Problem
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def found(self) -> Found | None:
        """How the copy is read; None where it cannot be."""
        own = {name: tensor.detach().clone() for name, tensor in self.sources.items()}
        try:
            for architecture in (TRANSFORMER,) if self.shape.positions else (MLP, MLP_TIED):
                for part in self._matrices(architecture):
                    found = self._finished(architecture, part, own)
                    if found is not None:
                        return found
            return None
        finally:
            self._put(own)

    def _matrices(self, architecture: Architecture) -> Iterator[Part]:
        if architecture is not TRANSFORMER:
            yield from self._agreeing(architecture, self._mlps(architecture), 1, "embeddings and hidden layer")
            return
        for ends in self._agreeing(architecture, self._ends(), 1, "embedding and unembedding"):
            for outer in self._agreeing(architecture, self._hidden(ends), 2, "MLP"):
                if len(outer.attention) < 4:
                    yield from self._agreeing(architecture, self._fused(outer), 3, "attention")
                    continue
                for inner in self._agreeing(architecture, self._values(outer), 3, "values and output of attention"):
                    yield from self._agreeing(architecture, self._queries(inner), 4, "queries and keys of attention")

    def _agreeing(self, architecture: Architecture, parts: Iterable[Part], stage: int, what: str) -> Iterator[Part]:
        """Those of `parts` with which our forward gives the copy's logits where all that is not read is zero."""
        nearest, tried = float("inf"), 0
        theirs: dict[frozenset[str], Tensor] = {}
        numbers: dict[frozenset[str], dict[str, Tensor]] = {}
        for part in parts:
            live = frozenset(reading.source for reading in part.readings.values())
            if live not in theirs:
                self._fill(live)
                theirs[live] = self._asked()
                numbers[live] = {name: self.sources[name].detach().clone() for name in live}
            difference = relative(self._ours(architecture, part, numbers[live]), theirs[live])
            tried += 1
            if difference < EQUAL:
                yield part
            nearest = min(nearest, difference)
        if not tried:
            self.problem.at(stage - 0.5, f"its tensors do not have the shapes of {what}")
        elif nearest >= EQUAL:
            said = f"the nearest of {tried:,} readings differs by {nearest:.1e} of the largest logit"
            self.problem.at(stage, f"no reading of its tensors as {what} gives its logits: {said}")

    def _finished(self, architecture: Architecture, part: Part, own: Tensors) -> Found | None:
        """The network of which all matrices are read, with its biases, held against the copy as it is."""
        rest = [name for name in self.sources if name not in {r.source for r in part.readings.values()}]
        for name in rest:
            bias = self._bias(architecture, part, name)
            if bias is None:
                said = f"{name} {tuple(self.sources[name].shape)}"
                self.problem.at(
                    4, f"its matrices are read, but {said} has no place: it is no bias of this architecture"
                )
                return None
            part = replace(part, readings={**part.readings, **bias})
        kinds: OperandTokens = "apart" if self.shape.apart else "shared"
        ordered = {
            p.short_name: part.readings[p.short_name] for p in architecture.parameters if p.short_name in part.readings
        }
        differences = []
        for numbers in (None, own):
            self._fill(self.sources) if numbers is None else self._put(numbers)
            differences.append(relative(self._ours(architecture, part, self.sources), self._asked()))
        if max(differences) >= EQUAL:
            self.problem.at(
                5, f"its own logits differ from those of its weights by {max(differences):.1e} of the largest"
            )
            return None
        return Found(
            architecture=architecture,
            activation=part.activation,
            operand_tokens=kinds,
            readings=ordered,
            asked=self.copy.asked,
            difference=max(differences),
            pairs=len(sample_of(self.shape.n)),
            by_names=bool(self.allowed),
        )

    def _bias(self, architecture: Architecture, part: Part, name: str) -> Readings | None:
        """What bias a tensor is: the one, or the several as its parts, with which our forward gives the copy's logits best."""
        live = {name, *(reading.source for reading in part.readings.values())}
        self._fill(live)
        theirs = self._asked()
        best: Readings | None = None
        least = EQUAL
        for candidate in self._biases(architecture, part, name):
            whole = replace(part, readings={**part.readings, **candidate})
            difference = relative(self._ours(architecture, whole, self.sources), theirs)
            if difference < least:
                best, least = candidate, difference
        return best

    def _biases(self, architecture: Architecture, part: Part, name: str) -> Iterator[Readings]:
        """What bias a tensor may be. That of the keys moves no logit, so that what moves none may be it."""
        fused = {short: r for short, r in part.readings.items() if short in ATTENTION and r.part is not None}
        biases = {f"b_{short[-1]}": bias_reading(name, reading) for short, reading in fused.items()}
        if biases and not set(biases) & set(part.readings) and self._may(name, tuple(biases)) and self._holds(biases):
            yield biases
        wanted = [short for short in BIASES[architecture] if short not in part.readings]
        for short in wanted:
            if self._may(name, (short,)):
                for reading in readings_of(architecture.by_short_name[short], name, self.sources[name], part.sizes):
                    weight = part.readings.get(f"W_{short[-1]}")
                    order = next((each for each in ORDERS if weight and each in weight.left), ORDERS[0])
                    yield {short: replace(reading, left=reading.left.replace(ORDERS[0], order))}

    def _holds(self, readings: Readings) -> bool:
        """Whether a tensor has the axes that these readings ask for."""
        try:
            for reading in readings.values():
                reading.of(self.sources)
        except Exception:  # einops raises its own kind
            return False
        return True

    def _mlps(self, architecture: Architecture) -> Iterator[Part]:
        n, operands = self.shape.n, MATRICES[architecture][:-2]
        for d_model, neuron in product(self._sizes_beside(n), self._all_sizes()):
            sizes = {"element": n, "classes": n, "d_model": d_model, "both": 2 * d_model, "neuron": neuron}
            for readings in self._combined(architecture, (*operands, "W", "W_U"), sizes):
                if set(self._large()) <= {reading.source for reading in readings.values()}:
                    yield from (Part(readings, sizes, activation) for activation in (RELU, GELU, SQUARE))

    def _ends(self) -> Iterator[Part]:
        """Embeddings and unembedding, of which each token's logits are made where nothing else acts."""
        vocab = self.shape.vocab
        for d_model, classes in product(self._sizes_beside(vocab), dict.fromkeys((vocab, self.shape.n))):
            sizes = {"vocab": vocab, "position": self.shape.positions, "classes": classes, "d_model": d_model}
            for readings in self._combined(TRANSFORMER, ("W_E", "W_pos", "W_U"), sizes):
                yield Part(readings, sizes, RELU)

    def _hidden(self, ends: Part) -> Iterator[Part]:
        """The MLP beside them, with the tensors that are left for attention."""
        d_model, used = ends.sizes["d_model"], {reading.source for reading in ends.readings.values()}
        for neuron in self._sizes_beside(d_model):
            sizes = {**ends.sizes, "neuron": neuron}
            for readings in self._combined(TRANSFORMER, ("W_in", "W_out"), sizes):
                if used & {reading.source for reading in readings.values()}:
                    continue
                whole = {**ends.readings, **readings}
                if attention := self._left_for_attention(whole, d_model):
                    yield from (Part(whole, sizes, act, attention) for act in (RELU, GELU))

    def _left_for_attention(self, readings: Readings, d_model: int) -> tuple[str, ...]:
        """The tensors that are left, if attention can be made of them: four of one size, or fewer of which one is fused."""
        used = {reading.source for reading in readings.values()}
        large = [name for name in self._large() if name not in used]
        if not large:
            return ()
        most = max(self.sources[name].numel() for name in large)
        found = [name for name in large if 3 * self.sources[name].numel() >= most]
        whole = sum(self.sources[name].numel() for name in found)
        counts = sorted(self.sources[name].numel() * 4 / whole for name in found)
        fits = counts in ([1, 1, 1, 1], [1, 1, 2], [1, 3]) and not whole % (4 * d_model)
        return tuple(found) if fits else ()

    def _values(self, outer: Part) -> Iterator[Part]:
        d_model = outer.sizes["d_model"]
        width = self.sources[outer.attention[0]].numel() // d_model
        for v, o in permutations(outer.attention, 2):
            for sizes, order in self._heads(outer, (v, o), width, all_of_them=False):
                for readings in self._chosen({"W_V": v, "W_O": o}, sizes, order):
                    yield replace(outer, readings={**outer.readings, **readings}, sizes=sizes)

    def _queries(self, inner: Part) -> Iterator[Part]:
        width = inner.sizes["head"] * inner.sizes["d_head"]
        v, o = (inner.readings[name].source for name in ("W_V", "W_O"))
        rest = [name for name in inner.attention if name not in (v, o)]
        heads_told = any(
            ORDERS[0] not in r.left and ORDERS[1] not in r.left for r in map(inner.readings.get, ("W_V", "W_O")) if r
        )
        known = [(inner.sizes, order) for order in ORDERS] if heads_told else None
        for q, k in permutations(rest, 2):
            for sizes, order in known or self._heads(inner, (v, o, q, k), width, all_of_them=True):
                values = {name: with_heads(inner.readings[name], sizes, order) for name in ("W_V", "W_O")}
                for readings in self._chosen({"W_Q": q, "W_K": k}, sizes, order):
                    yield replace(inner, readings={**inner.readings, **values, **readings}, sizes=sizes)

    def _heads(
        self, part: Part, names: Sequence[str], width: int, *, all_of_them: bool
    ) -> Iterator[tuple[dict[str, int], str]]:
        """The numbers of heads that tensors may have, and the orders in which heads may be in an axis: what their shapes say;
        else one, with which all agree under equal attention; or all.
        """
        axes = {
            size
            for name in names
            for size in self.sources[name].squeeze().shape
            if self.sources[name].squeeze().ndim > 2
        }
        divisors = [heads for heads in range(1, width + 1) if not width % heads]
        heads = [each for each in divisors if each in axes and width // each in axes] if axes else divisors
        for each in heads if axes or all_of_them else [1]:
            for order in ORDERS if each > 1 else ORDERS[:1]:
                yield {**part.sizes, "head": each, "d_head": width // each}, order

    def _chosen(self, names: Mapping[str, str], sizes: Mapping[str, int], order: str) -> Iterator[Readings]:
        """The ways in which the tensors may be read as just these parameters."""
        ways = [
            [
                with_heads(reading, sizes, order)
                for reading in readings_of(TRANSFORMER.by_short_name[short], source, self.sources[source], sizes)
            ]
            if self._may(source, (short,))
            else []
            for short, source in names.items()
        ]
        for readings in product(*ways):
            yield dict(zip(names, readings, strict=True))

    def _fused(self, outer: Part) -> Iterator[Part]:
        """Attention of which several of W_Q, W_K and W_V are parts of one tensor, the largest."""
        d_model, attention = outer.sizes["d_model"], outer.attention
        fused = max(attention, key=lambda name: self.sources[name].numel())
        others = [name for name in attention if name != fused]
        width = self.sources[others[0]].numel() // d_model
        parts = self.sources[fused].numel() // (width * d_model)
        for heads in (each for each in range(1, width + 1) if not width % each):
            sizes = {**outer.sizes, "head": heads, "d_head": width // heads, "part": parts}
            for order in ORDERS if heads > 1 else ORDERS[:1]:
                for first in fused_readings(fused, self.sources[fused], sizes):
                    for several in permutations(ATTENTION, parts):
                        single = ["W_O", *(name for name in ATTENTION if name not in several)]
                        if not self._may(fused, several, in_order=True):
                            continue
                        in_one = {
                            name: replace(with_heads(first, sizes, order), part=part)
                            for part, name in enumerate(several)
                        }
                        for sources in permutations(others):
                            for readings in self._chosen(dict(zip(single, sources, strict=True)), sizes, order):
                                whole = {**outer.readings, **in_one, **readings}
                                yield replace(outer, readings=whole, sizes=sizes)

    def _combined(
        self, architecture: Architecture, names: Sequence[str], sizes: Mapping[str, int]
    ) -> Iterator[Readings]:
        """The ways in which tensors may be read as these parameters, each another; but W_U may be W_E again."""
        ways = [
            [
                reading
                for source, tensor in self.sources.items()
                if self._may(source, (name,))
                for reading in readings_of(architecture.by_short_name[name], source, tensor, sizes)
            ]
            for name in names
        ]
        for readings in product(*ways):
            sources = [reading.source for name, reading in zip(names, readings, strict=True) if name != "W_U"]
            if len(set(sources)) == len(sources):
                found = dict(zip(names, readings, strict=True))
                last = found.get("W_U")
                if last is None or last.source not in sources or _is_tied(found):
                    yield found

    def _may(self, source: str, names: tuple[str, ...], *, in_order: bool = False) -> bool:
        """Whether a tensor may be these parameters, by the names that are given."""
        if source in self.allowed:
            own = self.allowed[source]
            return own == names if in_order else set(names) == set(own)
        return not any(name in own for own in self.allowed.values() for name in names)

    def _large(self) -> list[str]:
        """The tensors that are no biases: of two axes and more."""
        return [name for name, tensor in self.sources.items() if tensor.squeeze().ndim > 1]

    def _sizes_beside(self, size: int) -> list[int]:
        """The other sizes of the tensors of two axes of which one has this size."""
        shapes = [tuple(tensor.squeeze().shape) for tensor in self.sources.values()]
        pairs = [shape for shape in shapes if len(shape) == 2]
        return sorted({other for a, b in pairs for one, other in ((a, b), (b, a)) if one == size})

    def _all_sizes(self) -> list[int]:
        return sorted(set(chain.from_iterable(tensor.squeeze().shape for tensor in self.sources.values())))

    def _ours(self, architecture: Architecture, part: Part, tensors: Tensors) -> Float[Tensor, "pair class"]:
        """The logits by our exact forward, with these numbers; attention that is not read yet is nothing."""
        found = {name: reading.of(tensors).detach() for name, reading in part.readings.items()}
        if architecture is TRANSFORMER:
            sizes = {"head": 1, "d_head": 1, "neuron": 1, **sizes_in(architecture, found)}
            found |= {
                name: torch.zeros([sizes[axis] for axis in TRANSFORMER.by_short_name[name].axes])
                for name in (*ATTENTION, "W_O", "W_in", "W_out")
                if name not in found
            }
            found = {name: values.to(found["W_E"].dtype) for name, values in found.items()}
        kind: OperandTokens = "apart" if self.shape.apart else "shared"
        weights = Weights(found, architecture, part.activation, kind)
        with torch.no_grad():
            return weights.blueprint.computation.forward(weights, sample_of(self.shape.n)).logits

    def _asked(self) -> Float[Tensor, "pair class"]:
        return self.copy.logits(sample_of(self.shape.n))

    def _fill(self, live: Collection[str]) -> None:
        """Put random numbers into the tensors `live`, and zero into all others."""
        self._put(
            {
                name: torch.randn(tensor.shape, generator=self.generator, dtype=tensor.dtype) * self._spread(tensor)
                if name in live
                else torch.zeros_like(tensor)
                for name, tensor in self.sources.items()
            }
        )

    def _spread(self, tensor: Tensor) -> float:
        """How large random numbers are: so that residual stream and scores are about 1, and patterns neither equal nor all at one
        source.
        """
        ends = {self.shape.vocab, self.shape.positions} & set(tensor.shape)
        return 1.0 if ends or tensor.squeeze().ndim < 2 else tensor.numel() ** -0.25

    @torch.no_grad()
    def _put(self, values: Tensors) -> None:
        for name, tensor in self.sources.items():
            tensor.copy_(values[name])


def _is_tied(found: Readings) -> bool:
    """Whether W_U is the transpose of W_E in one tensor."""
    if "W_E" not in found or found["W_U"].source != found["W_E"].source:
        return False
    left = {name: found[name].left.replace("vocab", "classes") for name in ("W_E", "W_U")}
    return left["W_E"] == left["W_U"]


def sample_of(n: int) -> Int[Tensor, "pair operand"]:
    """Some pairs of elements, the last among them."""
    places = torch.linspace(0, n * n - 1, min(PAIRS, n * n)).long()
    return torch.stack([places // n, (places * 7 + places // n) % n], dim=1)
