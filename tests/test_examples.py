import runpy
from pathlib import Path

import pytest

from grokviz.config import RunConfig

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_the_three_examples_work_one_after_the_other(tiny_config: RunConfig, tmp_path: Path, capsys) -> None:
    main = {name: runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"] for name in ("train", "measure", "figures")}
    main["train"](tiny_config, tmp_path / "run")
    assert "largest_logit" in main["measure"](tmp_path / "run")
    report = main["figures"](tmp_path / "run")
    said = capsys.readouterr().out
    assert report.exists()
    assert (tmp_path / "run" / "losses.html").exists()
    assert "3 + 5 = " in said
    assert "with uniform attention" in said


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"train", "measure", "figures"}
