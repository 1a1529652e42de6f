"""What the scripts of a page read, as TypeScript declares it: the dataclasses of `report/data.py`, and what they hold.

    python tests/page_types.py > types.d.ts

`make check` holds the scripts to it: a field that one side renames is an error of the other.
"""

import collections.abc
import sys
import types
import typing
from dataclasses import fields, is_dataclass

from grokviz.report.data import PageData, as_json
from grokviz.tasks.blocks import Label

PLAIN = {int: "number", float: "number", str: "string", bool: "boolean", type(None): "null", typing.Any: "any"}


GLOBALS = """declare const Plotly: any;
interface Window {
  grokviz: any;
}
"""
"""What else the scripts find: plotly.js, and what the page shows to its tests."""


def declared() -> str:
    """The declarations, in a namespace `Json`; and the globals."""
    found: dict[str, str] = {}
    _interface(PageData, found)
    return "declare namespace Json {\n" + "\n".join(found.values()) + "\n}\n" + GLOBALS


def _interface(kind: type, found: dict[str, str]) -> None:
    if kind.__name__ in found:
        return
    found[kind.__name__] = ""
    hints = typing.get_type_hints(kind)
    names = _names(kind)
    lines = [f"    {names[field.name]}: {_said(hints[field.name], found)};" for field in fields(kind)]
    found[kind.__name__] = "\n".join([f"  interface {kind.__name__} {{", *lines, "  }"])


def _names(kind: type) -> dict[str, str]:
    """The name that JSON has for each field, as `as_json` writes it."""
    bare = object.__new__(kind)
    for field in fields(kind):
        object.__setattr__(bare, field.name, None)
    return dict(zip((field.name for field in fields(kind)), as_json(bare), strict=True))


def _said(hint: typing.Any, found: dict[str, str]) -> str:
    """A type of Python as TypeScript has it."""
    if hint == Label:
        return "string | number"
    if hint in PLAIN:
        return PLAIN[hint]
    if is_dataclass(hint):
        _interface(typing.cast(type, hint), found)
        return typing.cast(type, hint).__name__
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(_said(each, found) for each in arguments))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"[{', '.join(_said(each, found) for each in arguments)}]"
    if origin in (tuple, list, collections.abc.Sequence):
        return f"({_said(arguments[0], found)})[]"
    if origin in (dict, collections.abc.Mapping):
        return f"Record<string, {_said(arguments[1], found)}>"
    raise TypeError(f"{hint} has no counterpart")


if __name__ == "__main__":
    sys.stdout.write(declared())
