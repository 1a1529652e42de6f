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
        function(f"the hook at {shown(name)}", hook, called="hook(activation, hook=point)")
    return tuple((name, hook) for name, hook in pairs)


def refuse_idle_hooks(hooks: Sequence[Hook], names: Iterable[str]) -> None:
    """Refuse hooks that would never be called in a network in which activations pass the hook points `names`.

    Raises:
        GrokvizError: there is one; the message gives the nearest names.
    """
    names = list(names)
    for name, _ in hooks:
        if isinstance(name, str) and name not in names:
            raise GrokvizError(
                f"hook {name!r} is unknown, or nothing passes it in this network; {choose(name, names, most=99)}"
            )
        if callable(name) and not any(map(name, names)):
            raise GrokvizError(f"the filter {shown(name)} lets no hook through; {choose('', names, most=99)}")


def guarded(name: str | Callable[[str], bool], user_hook: Callable[..., Any]) -> Hook:
    """A hook of the user's that says what is wrong where it fails, or returns what cannot take the activation's place."""

    def guarding(activation: Any, hook: Any) -> Any:
        before = tuple(activation.shape)
        where = f"the hook at {hook.name}, which received a tensor of shape {before},"
        try:
            returned = user_hook(activation, hook=hook)
        except Exception as error:
            raise GrokvizError(
                f"{where} failed ({type(error).__name__}: {error}); it is called as hook(activation, hook=point)"
            ) from error
        if returned is not None and tuple(getattr(returned, "shape", ())) != before:
            raise GrokvizError(f"{where} returned {_kind(returned)}; it must return one of the same shape, or None")
        return returned

    return name, guarding


def _kind(returned: Any) -> str:
    shape = getattr(returned, "shape", None)
    return f"a {type(returned).__name__}" + (f" of shape {tuple(shape)}" if shape is not None else "")


def names_of(hooks: Sequence[Hook]) -> str:
    """Where the hooks act, in words."""
    return ", ".join(name if isinstance(name, str) else shown(name) for name, _ in hooks)


def _no_hooks(got: Any) -> GrokvizError:
    return GrokvizError(
        f"hooks holds {shown(got)}, but must be pairs (name, function) or a dict of them, such as "
        "[('blocks.0.attn.hook_pattern', my_hook)]"
    )
