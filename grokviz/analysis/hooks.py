"""Interventions: forward hooks as TransformerLens takes them, and what is refused of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from grokviz.checks import choose, function, shown
from grokviz.errors import GrokvizError

Hook = tuple[str | Callable[[str], bool], Callable[..., Any]]
"""A forward hook as TransformerLens takes it: a hook's name, or a filter of names, and a function
`(activation, hook) -> activation or None`.
"""

Hooks = Sequence[Hook] | Mapping[str, Callable[..., Any]]
"""How hooks may be given: as pairs, or as a dict from names to functions."""


def hook_pairs(hooks: Any) -> tuple[Hook, ...]:
    """`hooks` as pairs.

    Raises:
        GrokvizError: they are no hooks.
    """
    pairs = list(hooks.items()) if isinstance(hooks, Mapping) else hooks
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        raise _no_hooks(hooks)
    pairs = list(pairs)
    for pair in pairs:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise _no_hooks(pair if len(pairs) > 1 else hooks)
        name, hook = pair
        if not isinstance(name, str) and not callable(name):
            raise _no_hooks(pair)
        function(f"the hook at {shown(name)}", hook, called="hook(activation, hook)")
    return tuple((name, hook) for name, hook in pairs)


def refuse_unknown_hooks(hooks: Sequence[Hook], names: Iterable[str]) -> None:
    """Refuse hooks that act nowhere in a network whose hook points have these `names`.

    Raises:
        GrokvizError: there is one; the message gives the nearest names.
    """
    names = list(names)
    for name, _ in hooks:
        if isinstance(name, str) and name not in names:
            raise GrokvizError(f"hook {name!r} is unknown; {choose(name, names)}")
        if callable(name) and not any(map(name, names)):
            raise GrokvizError(f"the filter {shown(name)} lets no hook through; {choose('', names)}")


def names_of(hooks: Sequence[Hook]) -> str:
    """Where the hooks act, in words."""
    return ", ".join(name if isinstance(name, str) else shown(name) for name, _ in hooks)


def _no_hooks(got: Any) -> GrokvizError:
    return GrokvizError(
        f"hooks holds {shown(got)}, but must be pairs (name, function) or a dict of them, such as "
        "[('blocks.0.attn.hook_pattern', my_hook)]"
    )
