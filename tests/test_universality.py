"""Networks of Chughtai, Chan & Nanda 2023 on five groups, from their weights alone. Skipped where the files are not; two of the
six are tried always, the others with --whole.
"""

import re
from pathlib import Path

import pytest

import grokviz
from grokviz.errors import GrokvizError

NETWORKS = {  # the group, what its keys are called here, and what agrees, differs, is wrong in print
    "A5_T_seed1": ("A5", {"(3,1,1) a", "(3,1,1) b"}, 38, 35),
    "S5_MLP_seed1": ("S5", {"sign", "standard", "standard sign", "(2,2,1)"}, 98, 0),
    "S5_T_seed1": ("S5", {"sign", "standard sign"}, 97, 0),
    "D59_T_seed1": ("D59", {"sign", "rho 2", "rho 5", "rho 21"}, 385, 0),
    "D59_MLP_seed1": ("D59", set(), 386, 0),
    "C113_MLP_seed1": ("C113", set(), 351, 347),
}
ALWAYS = ("A5_T_seed1", "S5_MLP_seed1")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_published_network_is_read_from_its_weights_alone(
    name: str, published: Path, tmp_path: Path, request
) -> None:
    if name not in ALWAYS and not request.config.getoption("whole"):
        pytest.skip("with --whole")
    folder = published / "universality" / name
    group, keys, agree, wrong = NETWORKS[name]
    run = grokviz.import_run(folder / "model.pt", tmp_path / "run", progress=False)
    reading = grokviz.read_group(run)
    assert reading.group.name == group
    assert reading.n_wrong == 0
    assert reading.order == {"A5": "found", "S5": "published"}.get(group, "own")
    origin = run.origin
    assert origin is not None
    assert origin.found["split of the network"].startswith("randperm with seed 1")
    assert run.config.model.architecture == ("mlp" if "MLP" in name else "transformer")
    verification = grokviz.verify(run, folder / "summary_metrics.json")
    assert not verification.of("differs")
    assert (len(verification.of("agrees")), len(verification.of("wrong in print"))) == (agree, wrong)
    listed = grokviz.verify(run, folder / "key_reps.txt")
    assert not listed.of("differs")
    (count,) = (row for row in listed.rows if row.claim.name == "number_of_keys")
    ours = set(re.search(r"by ours: ([^;]+)", count.why)[1].split(", "))
    if group == "A5":
        assert len(ours) == 1 and ours < keys  # noqa: PT018 - which of both is free up to an automorphism
    elif keys:
        assert ours == keys
    else:
        assert ours <= set(re.search(r"0.005\): ([^;]+)", count.why)[1].split(", "))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sign\n", None),
        ("freq_1 freq_2", None),
        ("hello world", "has the columns hello world, but needs name and value"),
        ("sign, standard", "but needs name and value"),
        ("", "but needs name and value"),
    ],
)
def test_a_list_of_keys_is_told_from_a_table(text: str, says: str | None, tiny_group_run, tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text(text)
    if says is None:
        rows = grokviz.verify(tiny_group_run, tmp_path / "keys.txt").rows
        assert [row.claim.name for row in rows] == [*(f"is_key[{word}]" for word in text.split()), "number_of_keys"]
        assert "by ours: " in rows[-1].why
    else:
        with pytest.raises(GrokvizError, match=says):
            grokviz.verify(tiny_group_run, tmp_path / "keys.txt")
