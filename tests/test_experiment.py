"""The worked sum as an experiment: the page's network without parts of it is the exact forward under the same intervention."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import grokviz
from grokviz import interventions
from grokviz.analysis.reading.causes import with_causes
from grokviz.analysis.taking.interventions import Intervention
from grokviz.analysis.taking.snapshot import Snapshot, snapshot_of
from grokviz.models.weights import Weights
from opened import Opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FINE, QUANTISED = 1e-3, 0.03
"""Root mean square of the difference of centred logits, as a share of that of the exact ones: of a page whose tables are hardly
quantised, and of pages as they are written.
"""

MIDDLE = 1000


@pytest.fixture(scope="module")
def report(quick_run: grokviz.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grokviz.write_report(quick_run, out=tmp_path_factory.mktemp("experiment") / "quick.html", progress=False)


@pytest.fixture(scope="module")
def fine(quick_run: grokviz.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quantised so finely that it makes no difference."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grokviz.report.network.FINENESS", 1e-4)
        return grokviz.write_report(quick_run, out=tmp_path_factory.mktemp("fine") / "quick.html", progress=False)


@pytest.fixture(scope="module")
def page(browser, fine: Path) -> Iterator[Opened]:
    page = Opened(browser, fine)
    yield page
    page.page.close()
    assert page.problems == []


def exact(run: grokviz.Run, epoch: int, under: Intervention | None) -> Snapshot:
    return grokviz.take_snapshot(run, epoch, under=under)


def switched(page: Opened, epoch: int, off: str) -> None:
    page.run("([epoch, off]) => { grokviz.state.set({ epoch, off }); grokviz.state.tell(); }", [epoch, off])


def logits_of(page: Opened, pairs: list[list[int]]) -> np.ndarray:
    found = page.run(
        """pairs => { const now = grokviz.experiment.at(grokviz.run.stopAt(grokviz.state.get('epoch')));
        return pairs.map(([a, b]) => Array.from(now.forward(a, b).logits)); }""",
        pairs,
    )
    return np.array(found)


def members(page: Opened, switch: str) -> list[int]:
    return page.run("id => grokviz.experiment.members(id, grokviz.run.stopAt(grokviz.state.get('epoch')))", switch)


def agree(page: Opened, snapshot: Snapshot, *, within: float = FINE) -> None:
    """The page's logits, and its outcome over all pairs, are those of the snapshot."""
    task = snapshot.task
    chosen = range(0, task.n**2, 41)
    ours = logits_of(page, [list(map(int, task.pairs[i])) for i in chosen])
    theirs = snapshot.logits.numpy()[list(chosen)]
    ours, theirs = (logits - logits.mean(axis=1, keepdims=True) for logits in (ours, theirs))
    assert np.sqrt(np.square(ours - theirs).mean() / np.square(theirs).mean()) < within
    outcome = page.run(
        "grokviz.experiment.at(grokviz.run.stopAt(grokviz.state.get('epoch'))).outcome(grokviz.allPairs.asked)"
    )
    masks = snapshot.splits
    right = (snapshot.logits.argmax(dim=1) == snapshot.answers).double()
    losses = torch.nn.functional.cross_entropy(snapshot.logits.double(), snapshot.answers, reduction="none")
    for group, split in enumerate(("train", "test_mirrored", "test_unmirrored")):
        assert outcome["totals"][group] == masks[split].sum()
        share = outcome["right"][group] / outcome["totals"][group]
        assert share == pytest.approx(right[masks[split]].mean().item(), abs=10 * within / 3), split
        mean = outcome["losses"][group] / outcome["totals"][group]
        assert mean == pytest.approx(losses[masks[split]].mean().item(), rel=10 * within, abs=1e-6), split


@pytest.mark.parametrize("epoch", [MIDDLE, 4000])
def test_the_network_without_a_part_is_the_exact_forward_under_the_same_intervention(
    page: Opened, quick_run: grokviz.Run, epoch: int
) -> None:
    keys = page.run("grokviz.run.keys.labels")
    places = page.run("grokviz.run.keys.labels.map(label => grokviz.run.blocks.place(label))")
    labels = page.run("grokviz.run.blocks.labels")
    switched(page, epoch, "")
    agree(page, exact(quick_run, epoch, None))
    switched(page, epoch, f"k{places[0]}")
    agree(page, exact(quick_run, epoch, interventions.remove(keys[0])))
    switched(page, epoch, "others")
    agree(page, exact(quick_run, epoch, interventions.remove([label for label in labels if label not in keys])))
    switched(page, epoch, "h1.h2")
    agree(page, exact(quick_run, epoch, interventions.heads([1, 2])))
    switched(page, epoch, f"n{places[-1]}")
    if of_key := members(page, f"n{places[-1]}"):
        agree(page, exact(quick_run, epoch, interventions.neurons(of_key)))
    switched(page, epoch, "impure")
    agree(page, exact(quick_run, epoch, interventions.neurons(members(page, "impure"))))


def test_parts_that_are_off_together_are_so_one_after_another(page: Opened, quick_run: grokviz.Run) -> None:
    place = page.run("grokviz.run.blocks.place(grokviz.run.keys.labels[1])")
    switched(page, 4000, f"k{place}.impure")
    weights = Weights.from_arrays(quick_run.config.blueprint, quick_run.weights(4000))
    harmonics = exact(quick_run, 4000, None).harmonics
    rows = harmonics.of_first[harmonics.blocks.rows(page.run("grokviz.run.keys.labels[1]"))].to(weights.W_E.dtype)
    operands = weights.W_E[:-1]
    without = torch.cat([operands - rows.T @ (rows @ operands), weights.W_E[-1:]])
    under = interventions.neurons(members(page, "impure"))
    agree(page, snapshot_of(weights.replaced(W_E=without), quick_run.config.task, epoch=4000, under=under))


def test_quantised_as_pages_are_it_is_near_that(browser, report: Path, quick_run: grokviz.Run) -> None:
    page = Opened(browser, report)
    place = page.run("grokviz.run.blocks.place(grokviz.run.keys.labels[0])")
    for epoch, within in ((MIDDLE, QUANTISED), (4000, FINE)):  # the last stop has tables of its own
        switched(page, epoch, f"k{place}")
        agree(page, exact(quick_run, epoch, interventions.remove(place + 1)), within=within)
    page.page.close()


def test_a_control_is_as_much_of_the_same_kind_and_nothing_that_is_off(page: Opened) -> None:
    keys = page.run("grokviz.run.keys.labels")
    places = page.run("grokviz.run.keys.labels.map(label => grokviz.run.blocks.place(label))")
    changes = """([off, draw]) => { grokviz.state.set({ off });
        return grokviz.experiment.changes(grokviz.run.stops.length - 1, draw); }"""
    for draw in (0, 1, 5, 999):
        for count in (1, 2, 3):
            off = ".".join(f"k{place}" for place in places[:count])
            control = page.run(changes, [off, draw])["blocks"]
            assert len(set(control)) == count
            labels = page.run("places => places.map(place => grokviz.run.blocks.labels[place])", control)
            assert not set(labels) & set(keys)
            assert page.run("labels => labels.map(label => grokviz.run.harmonicOf(label))", labels) == [None] * count
        assert set(page.run(changes, ["h0.h2", draw])["heads"]) == {1, 3}
        assert page.run(changes, ["h0.h1.h2", draw]) is None  # there are not three others
        groups = [f"n{places[0]}", f"n{places[-1]}"]
        own = set(members(page, groups[0])) | set(members(page, groups[1]))
        drawn = page.run(changes, [".".join(groups), draw])["neurons"]
        assert len(set(drawn)) == len(own) > 0
        assert not own & set(drawn)
    # one off, and a control in the place of another
    both = page.run(changes, [f"k{places[0]}.k{places[1]}~3", None])
    assert places[0] in both["blocks"]
    assert places[1] not in both["blocks"]
    assert len(both["blocks"]) == 2
    switched(page, 4000, "")


def test_a_reader_switches_a_key_off_and_sees_the_answer_and_all_pairs_change(browser, report: Path) -> None:
    page = Opened(browser, report)
    assert page.page.inner_text("#group") == "unseen pair"
    before = page.page.inner_text("#verdict")
    key = page.page.locator("[data-switch^=k]").first
    key.locator("input").check()
    page.wait_until("document.querySelectorAll('#all-pairs tbody td').length === 9")
    page.wait_until("!document.querySelector('#all-pairs').textContent.includes('...')")
    assert " out of W_E, the network answers " in page.page.inner_text("#verdict") != before
    cells = page.run(
        "Array.from(document.querySelectorAll('#all-pairs tbody td'), cell => parseFloat(cell.textContent))"
    )
    as_it_is, without, control = cells[:3], cells[3:6], cells[6:]
    assert min(as_it_is) > 99
    assert max(without) < min(as_it_is)
    assert min(control) > max(without)
    # a control in its place
    key.locator("button").click()
    page.wait_until("document.querySelector('[data-switch^=k] button').textContent.includes('instead')")
    assert not key.locator("input").is_checked()
    address = page.run("location.hash")
    assert "off=k" in address
    assert "~" in address
    again = Opened(browser, report, fragment=address)
    assert again.run("grokviz.state.get('off')") == page.run("grokviz.state.get('off')")
    again.page.close()
    page.page.click("text=All on again")
    page.wait_until("document.querySelector('#all-pairs').textContent === ''")
    assert page.page.inner_text("#verdict") == before
    page.page.click("[data-group='0']")
    page.wait_until("document.querySelector('#group').textContent === 'train pair'")
    page.page.close()
    assert page.problems == []


def test_whether_a_key_is_used_is_measured_where_it_was_and_asked_elsewhere(
    browser, report: Path, quick_run: grokviz.Run
) -> None:
    page, heading = Opened(browser, report), "document.querySelector('#used h3').textContent"
    measurements = with_causes(quick_run.measurements, quick_run.interventions)
    keys, used = (
        grokviz.key_frequencies_of(measurements),
        "grokviz.views.find(view => view.constructor.name === 'Used')",
    )
    last = measurements.isel(epoch=-1)
    losses = last["removed_embedding_loss"].sel(frequency=list(keys)).values
    needed = (losses > last["removed_embedding_loss_control_high"].sel(frequency=list(keys)).values).sum()
    alone = last["kept_accuracy"].sel(kept=", ".join(map(str, keys))).item()
    assert page.run(heading) == (
        f"Is it used? At epoch 4,000 {needed} of {len(keys)} key frequencies {'is' if needed == 1 else 'are'} needed; alone they "
        f"leave {alone:.1%} right"
    )
    assert page.run(f"{used}.shown.rows.map(row => row.loss)") == pytest.approx(losses.tolist(), rel=1e-6)
    page.go(2000)
    page.wait_until(f"{used}.found.size === 1")
    assert page.run(heading).startswith("Is it used? At epoch 2,000 ")
    asked = page.run(f"{used}.shown")
    unseen = exact(quick_run, 2000, None).splits["test_unmirrored"]
    for row, key in zip(asked["rows"], keys, strict=True):
        without = exact(quick_run, 2000, interventions.remove(key))
        losses = torch.nn.functional.cross_entropy(without.logits.double(), without.answers, reduction="none")
        assert row["loss"] == pytest.approx(losses[unseen].mean().item(), rel=10 * QUANTISED)
        assert row["low"] <= row["high"]
    kept = exact(quick_run, 2000, interventions.keep(list(keys)))
    right = (kept.logits.argmax(dim=1) == kept.answers).double()[unseen].mean().item()
    assert asked["alone"]["accuracy"] == pytest.approx(right, abs=QUANTISED)
    page.page.close()
    assert page.problems == []


def test_the_table_of_what_is_superposed_follows_the_cursor(browser, report: Path, quick_run: grokviz.Run) -> None:
    page, table = Opened(browser, report), grokviz.superposition(quick_run)
    for moment in table["moment"].values:
        now = table.sel(moment=moment)
        page.go(int(now["epoch"]))
        cells = page.run(
            "Array.from(document.querySelectorAll('#superposed-table tbody tr'), "
            "row => Array.from(row.querySelectorAll('td'), cell => parseFloat(cell.textContent)))"
        )
        for basis, row in zip(table["basis"].values, cells, strict=True):
            expected = [float(now[name].sel(basis=basis)) for name in ("features", "dimensions", "overlap", "null")]
            assert row == pytest.approx(expected, rel=0.06, abs=0.6)
    assert page.page.inner_text("#superposed h3") == "Nothing is superposed at epoch 4,000"
    page.page.close()


@pytest.mark.parametrize(
    "off", ["k999", "h77.n888~3", "k1~99999.others.impure", "nonsense", "%00", "k0.k0.k0", "~", "h0~0"]
)
def test_what_an_address_says_to_be_off_is_passed_over_where_it_is_not_there(browser, report: Path, off: str) -> None:
    page = Opened(browser, report, fragment=f"#off={off}")
    page.run("grokviz.state.tell()")
    assert page.page.inner_text("#verdict").startswith("At epoch 4,000")
    page.page.close()
    assert page.problems == []
