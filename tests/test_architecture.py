"""The import rules: kept, and noticed when broken."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import grokviz
from grokviz import store

ROOT = Path(__file__).parents[1]


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    linter = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [linter, "--no-cache"], cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(folder)}
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("tasks/operations.py", "from grokviz import training", "layers import only downwards"),
        (
            "training/loop.py",
            "import transformer_lens",
            "only models/hooked.py and models/hooked_mlp.py import transformer_lens",
        ),
        ("figures/theme.py", "import torch", "what reads and shows a run needs no torch"),
        ("store/run.py", "import torch", "what reads and shows a run needs no torch"),
        (
            "report/render.py",
            "from grokviz.analysis.taking import measuring",
            "what reads and shows a run needs no torch",
        ),
        (
            "analysis/taking/sources.py",
            "from grokviz.store.file_names import CONFIG_FILE",
            "the inner files of the store are its own",
        ),
        ("cli/commands.py", "from grokviz.store import locks", "the inner files of the store are its own"),
        (
            "analysis/taking/measures/attention.py",
            "from grokviz.analysis.taking.measures import fourier",
            "measure families do not import",
        ),
        ("stray.py", "", "layers import only downwards"),
        ("store/stray.py", "", "inside store"),
    ],
)
def test_a_broken_import_rule_is_noticed_and_named(tmp_path: Path, file: str, line: str, contract: str) -> None:
    shutil.copytree(ROOT / "grokviz", tmp_path / "grokviz")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    broken = tmp_path / "grokviz" / file
    broken.write_text((broken.read_text() if broken.exists() else "") + f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert re.search(rf"{re.escape(contract)}.* BROKEN", said) or "stray" in said


@pytest.mark.slow
def test_the_import_rules_are_kept(tmp_path: Path) -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


def test_the_store_has_at_most_ten_public_names() -> None:
    assert len(store.__all__) <= 10
    assert all(hasattr(store, name) for name in store.__all__)


def test_importing_grokviz_imports_nothing_heavy_and_every_public_name_is_there() -> None:
    heavy = "{'torch', 'transformer_lens', 'plotly', 'xarray', 'numpy'}"
    code = f"import sys, grokviz; assert not {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in grokviz.__all__:
        assert getattr(grokviz, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        _ = grokviz.tarin


def test_every_file_that_is_no_code_is_installed_with_the_package() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "grokviz").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc", ".so", ".cpp", ".h"):
            package = ".".join(path.parent.relative_to(ROOT).parts)
            assert any(path.match(pattern) for pattern in patterns.get(package, [])), path


def test_only_the_command_line_calls_arguments_by_their_flags() -> None:
    """A message names an argument by `errors.argument`, which knows where the user is; a command to type is made by `command`."""
    strays = []
    for path in sorted((ROOT / "grokviz").rglob("*.py")):
        if "cli" in path.parts:
            continue
        tree = ast.parse(path.read_text())
        typed = {
            id(part)
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("command", "shell_command")
            for part in ast.walk(call)
        }
        documented = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        strays += [
            f"{path.relative_to(ROOT)}:{node.lineno}: {node.value:.60}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if id(node) not in typed | documented and re.search(r"(^|[ (])--[a-z][a-z-]+", node.value)
        ]
    assert strays == []
