"""The names of a module's tensors: those that are given for ours, those of known layouts, and the layers that they speak of."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from grokviz.checks import choose, shown
from grokviz.errors import GrokvizError
from grokviz.importing.layouts import NATIVE
from grokviz.models.architectures import ARCHITECTURES
from grokviz.monitoring.modules import Tensors

Names = Mapping[str, str | Sequence[str]]
"""By a module's name of a tensor: the short name of our parameter, or those of several, of which it holds the parts in this
order."""

Allowed = Mapping[str, tuple[str, ...]]
"""By tensor: our parameters that it may be; a tensor that is not there may be any that no other is."""

SHORT_NAMES = tuple(dict.fromkeys(p.short_name for each in ARCHITECTURES.values() for p in each.parameters))
FULL_NAMES = {p.name: p.short_name for each in ARCHITECTURES.values() for p in each.parameters}


def checked_names(names: Names | None, tensors: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The names that are given, by tensor; a star stands for the number of tensors that are read as one.

    Raises:
        GrokvizError: one is unknown, or given twice; the message names the nearest.
    """
    checked: dict[str, tuple[str, ...]] = {}
    taken: dict[str, str] = {}
    if names is not None and not isinstance(names, Mapping):
        raise GrokvizError("names must be a mapping from the module's names to ours, such as {'embed.weight': 'W_E'}")
    for theirs, ours in (names or {}).items():
        if theirs not in tensors:
            raise GrokvizError(f"names has {shown(theirs)}, which the module does not have; {choose(theirs, tensors)}")
        if not isinstance(ours, str | Sequence):
            raise GrokvizError(
                f"names has {shown(ours)} for {theirs}, but wanted is our name, such as 'W_E', or several"
            )
        several = (ours,) if isinstance(ours, str) else tuple(map(str, ours))
        short = tuple(FULL_NAMES.get(name, name) for name in several)
        for name in short:
            if name not in SHORT_NAMES:
                raise GrokvizError(
                    f"names has {name!r} for {theirs}, which is none of our parameters; {choose(name, SHORT_NAMES)}"
                )
            if name in taken:
                raise GrokvizError(f"names has {name} for {taken[name]} and for {theirs}; give it once")
            taken[name] = theirs
        checked[theirs] = short
    return checked


def known_names(sources: Iterable[str]) -> Allowed | None:
    """What the names of tensors mean, where they are those of a known layout; None where they are not."""
    plain = {source: source.replace("._original_component", "") for source in sources}
    native = {theirs: FULL_NAMES[ours] for ours, (theirs, _) in NATIVE.items()}
    for table in (FULL_NAMES, native):
        prefixes = {name.removesuffix(known) for name in plain.values() for known in table if name.endswith(known)}
        for prefix in prefixes:
            known = {source: table.get(name.removeprefix(prefix)) for source, name in plain.items()}
            if all(known.values()):
                return {source: (name,) for source, name in known.items() if name}
    last = {source: name.rsplit(".", 1)[-1] for source, name in plain.items()}
    is_short = set(last.values()) <= set(SHORT_NAMES) and len(set(last.values())) == len(last)
    return {source: (name,) for source, name in last.items()} if is_short else None


def layers_in(tensors: Tensors) -> list[str]:
    """The layers in a module's names, where there are several: numbered parts of the same tensors, more than there are in a
    head, which has four matrices at most, all of one size.
    """
    tails: dict[str, dict[str, int]] = {}
    for name, tensor in tensors.items():
        words = name.split(".")
        for place, word in enumerate(words):
            if word.isdecimal() and tensor.ndim > 1:
                own = tails.setdefault(".".join(words[: place + 1]), {})
                own[".".join(words[place + 1 :])] = tensor.numel()
    alike: dict[tuple[str, frozenset[str]], list[str]] = {}
    for layer, sizes in tails.items():
        if len(sizes) > 4 or (len(sizes) == 4 and len(set(sizes.values())) > 1):
            alike.setdefault((layer.rpartition(".")[0], frozenset(sizes)), []).append(layer)
    return next((layers for layers in alike.values() if len(layers) > 1), [])
