"""What the tensors of a module may be, by their shapes and by the names that are given: readings to be tried, part after part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, permutations, product

from grokviz.models.activations import GELU, RELU, SQUARE, Activation
from grokviz.models.architecture import Architecture
from grokviz.models.mlp import MLP, MLP_TIED
from grokviz.models.transformer import TRANSFORMER
from grokviz.monitoring.modules import Tensors
from grokviz.monitoring.naming import Allowed
from grokviz.monitoring.readings import (
    ORDERS,
    Reading,
    Readings,
    bias_reading,
    fused_readings,
    readings_of,
    with_heads,
)

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


@dataclass(frozen=True)
class Part:
    """What of a network is read so far."""

    readings: Readings
    sizes: Mapping[str, int]
    activation: Activation
    attention: tuple[str, ...] = ()
    """The tensors that attention must be made of."""


@dataclass(frozen=True)
class Candidates:
    """What the tensors of a module may be, as a network of one shape."""

    sources: Tensors
    """The tensors that are to be read."""
    shape: Shape
    allowed: Allowed

    def ends(self) -> Iterator[Part]:
        """Embeddings and unembedding, of which each token's logits are made where nothing else acts."""
        vocab = self.shape.vocab
        for d_model, classes in product(self._sizes_beside(vocab), dict.fromkeys((vocab, self.shape.n))):
            sizes = {"vocab": vocab, "position": self.shape.positions, "classes": classes, "d_model": d_model}
            for readings in self._combined(TRANSFORMER, ("W_E", "W_pos", "W_U"), sizes):
                yield Part(readings, sizes, RELU)

    def hidden(self, ends: Part) -> Iterator[Part]:
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

    def values(self, outer: Part) -> Iterator[Part]:
        """What attention writes where it looks at all sources alike: values and output, with one head where shapes tell none."""
        d_model = outer.sizes["d_model"]
        width = self.sources[outer.attention[0]].numel() // d_model
        for v, o in permutations(outer.attention, 2):
            for sizes, order in self._heads(outer, (v, o), width, all_of_them=False):
                for readings in self._chosen({"W_V": v, "W_O": o}, sizes, order):
                    yield replace(outer, readings={**outer.readings, **readings}, sizes=sizes)

    def queries(self, inner: Part) -> Iterator[Part]:
        """Queries and keys beside them, with every number of heads that there may be."""
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

    def fused(self, outer: Part) -> Iterator[Part]:
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

    def mlps(self, architecture: Architecture) -> Iterator[Part]:
        """All matrices of an MLP of two embeddings, or of one."""
        n, operands = self.shape.n, MATRICES[architecture][:-2]
        for d_model, neuron in product(self._sizes_beside(n), self._all_sizes()):
            sizes = {"element": n, "classes": n, "d_model": d_model, "both": 2 * d_model, "neuron": neuron}
            for readings in self._combined(architecture, (*operands, "W", "W_U"), sizes):
                if set(self._large()) <= {reading.source for reading in readings.values()}:
                    yield from (Part(readings, sizes, activation) for activation in (RELU, GELU, SQUARE))

    def biases(self, architecture: Architecture, part: Part, name: str) -> Iterator[Readings]:
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
        if "W_pos" in names and not ways[names.index("W_pos")]:
            ways[names.index("W_pos")] = list(self._longer_positions(sizes))
        for readings in product(*ways):
            sources = [reading.source for name, reading in zip(names, readings, strict=True) if name != "W_U"]
            if len(set(sources)) == len(sources):
                found = dict(zip(names, readings, strict=True))
                last = found.get("W_U")
                if last is None or last.source not in sources or _is_tied(found):
                    yield found

    def _longer_positions(self, sizes: Mapping[str, int]) -> Iterator[Reading]:
        """The ways in which a tensor may be the embeddings of more positions than are read."""
        parameter, read = TRANSFORMER.by_short_name["W_pos"], sizes["position"]
        for source, tensor in self.sources.items():
            for rows in {size for size in tensor.shape if size > read and self._may(source, ("W_pos",))}:
                for reading in readings_of(parameter, source, tensor, {**sizes, "position": rows}):
                    yield replace(reading, first=read)

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


def _is_tied(found: Readings) -> bool:
    """Whether W_U is the transpose of W_E in one tensor."""
    if "W_E" not in found or found["W_U"].source != found["W_E"].source:
        return False
    left = {name: found[name].left.replace("vocab", "classes") for name in ("W_E", "W_U")}
    return left["W_E"] == left["W_U"]
