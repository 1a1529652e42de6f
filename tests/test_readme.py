import re
from pathlib import Path

import grokviz
from grokviz.cli.table import COMMANDS, with_commands

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_readme_is_short_and_all_it_points_to_is_there() -> None:
    assert README.count("\n") < 120
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_readme_names_only_what_exists() -> None:
    for name in re.findall(r"grokviz\.(\w+)\(", README):
        assert hasattr(grokviz, name), name
    for name in re.findall(r"grokviz\.figures\.(\w+)\(", README):
        assert hasattr(grokviz.figures, name), name
    for command in re.findall(r"^(?:\$ )?grokviz (\w+)", README, re.MULTILINE):
        assert command in {known.name for known in COMMANDS}
    for target in re.findall(r"`make (\w+)`", README):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def test_the_readme_lists_the_commands_as_they_are() -> None:
    assert with_commands(README) == README, "run: make readme"
