"""The code of a function: what of it runs, and what it names. Comments, docstrings, annotations and the wording of errors do not
count.
"""

import ast
import dis
import hashlib
import inspect
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import CodeType, FunctionType
from typing import Any

INSTALLED = tuple(
    {f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {"<frozen ", "<@beartype(", "<__array_function__"}
)
"""How the names of the files begin whose code counts by the version of its package."""


@dataclass(frozen=True)
class Code:
    """What runs when a function is called, and what it names."""

    text: str
    """Its syntax tree; its byte code where there is no source of it alone."""
    names: frozenset[str]
    """All names and attributes in it."""
    chains: frozenset[tuple[str, ...]] | None
    """The names in it that are looked up, each with the attributes taken from it: ('np', 'linalg', 'norm'); None where its byte
    code tells only `names`.
    """
    imports: tuple[tuple[str, str, str], ...]
    """What it imports itself: module, name in the module ('' for the module itself), and what it calls it."""


def code_of(function: FunctionType) -> Code:
    """The code of `function`."""
    tree = _tree(function)
    if tree is None:
        codes = list(_codes(function.__code__))
        text = "".join(_byte_code(code) for code in codes)
        mentioned = frozenset(name for code in codes for name in (*code.co_names, *code.co_freevars))
        return Code(text, mentioned, None, tuple(_imports_of_byte_code(codes)))
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    chains = frozenset(chain for node in nodes if (chain := _chain(node)))
    return Code(ast.dump(tree), frozenset(names), chains, tuple(_imports(nodes)))


@cache
def is_installed(file: str) -> bool:
    """Whether code from `file` came with Python or with a package, and so changes with their versions alone."""
    return file.startswith(INSTALLED) or "/site-packages/" in file or "/dist-packages/" in file


def is_grokviz(module: str) -> bool:
    """Whether `module` is one of grokviz."""
    return module.split(".")[0] == "grokviz"


@cache
def version_of(module: str) -> str:
    """The version of the package that `module` belongs to; '' of what comes with Python, or has none."""
    top = module.split(".")[0]
    if top in sys.stdlib_module_names or top == "builtins":
        return ""
    try:
        return version(top)
    except (PackageNotFoundError, ValueError):
        return str(getattr(sys.modules.get(top), "__version__", ""))


def _tree(function: FunctionType) -> ast.AST | None:
    """The syntax tree of a function without what does not run; None where there is no source of it alone: one that was typed into
    a bare interpreter, or a lambda, whose lines may hold another.
    """
    if function.__name__ == "<lambda>":
        return None
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function.__code__))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if not isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node is tree:
                node.decorator_list = []  # what they made of it is looked at as it is
            node.body = _without_docstring(node.body)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
        if isinstance(node, ast.Raise):  # that it is refused counts, the wording does not
            node.exc = node.cause = None
    return tree


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    is_docstring = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return (body[1:] or [ast.Pass()]) if is_docstring else body


def _chain(node: ast.AST) -> tuple[str, ...]:
    """('np', 'linalg', 'norm') of np.linalg.norm; empty of what does not begin with a name."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else ()


def _imports(nodes: list[ast.AST]) -> Iterator[tuple[str, str, str]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                # `import a.b` gives the name a, `import a.b as c` gives a.b the name c
                module = alias.name if alias.asname else alias.name.split(".")[0]
                yield module, "", alias.asname or module
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{'.' * node.level}{node.module or ''}", alias.name, alias.asname or alias.name


def _imports_of_byte_code(codes: list[CodeType]) -> Iterator[tuple[str, str, str]]:
    for code in codes:
        for instruction in dis.get_instructions(code):
            if instruction.opname == "IMPORT_NAME":
                yield str(instruction.argval), "", str(instruction.argval)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The byte code of a function, and of those inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _byte_code(code: CodeType) -> str:
    constants = [_constant(c) for c in code.co_consts if not isinstance(c, CodeType)]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return f"{code.co_name} {hashlib.sha256(code.co_code).hexdigest()} {constants} {names} {code.co_flags}"


def _constant(constant: Any) -> str:
    """A constant of byte code, sets in an order that is the same in every process."""
    if isinstance(constant, frozenset):
        return f"{{{', '.join(sorted(map(_constant, constant)))}}}"
    return f"({', '.join(map(_constant, constant))},)" if isinstance(constant, tuple) else repr(constant)
