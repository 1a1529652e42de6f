"""Every number in the sentences with which a page begins is one of the measurements, whatever the run is; the page has them."""

import html
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import grokviz
from grokviz.analysis.reading.causes import unseen_split, with_causes
from grokviz.analysis.reading.phases import Phases, phases_of
from grokviz.config import RunConfig
from grokviz.outcomes import Delay
from grokviz.report import render_report
from grokviz.report.opening import opening

NUMBER = r"(\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?)"
Values = list[float]
Fact = Callable[[xr.Dataset, Phases | None], Values]

PRINTED = (
    r"\(in print 0\.75 to 0\.9 of clocks, 0\.17 of a pizza\)",
    r"\(a clock 0\.33, a pizza 0\.99(?:, so this says otherwise)?\)",
    r"told where 99 % of test pairs",
    r", in 95 %",
    r"(?:answered|held|reached|and) (?:99|95)%",
    r"at checkpoints, three in a row",
    r"With AdamW networks are known to grok .*? it had [\d,]+",
    r"All of it lies where networks are known to grok: .*?\. (?=It is one)",
    r"x2_xy_y2 mod 23",
    r"\w+ is [\d.]+ \(known: [\d.]+ or more\)",
)
"""Numbers of the field, of the rules, and of the bands in which networks grok, which have tests of their own."""


def pairs(now: xr.Dataset) -> str:
    return unseen_split(now["split"].values.tolist())


def judged(measurements: xr.Dataset, name: str) -> xr.DataArray:
    return measurements[name].sel(split=pairs(measurements))


def best(measurements: xr.Dataset, _: Phases | None) -> Values:
    accuracy = judged(measurements, "accuracy")
    at = int(accuracy.fillna(-1).values.argmax())
    return [100 * float(accuracy[at]), int(accuracy["epoch"][at])]


def unmirrored(phases: Phases) -> object:
    return phases.grokked_unmirrored if phases.tells_mirrors else phases.grokked


def interval(found: object) -> Values:
    return [found.after, found.by]


def delay(_: xr.Dataset, phases: Phases | None) -> Values:
    late = Delay.between(phases.memorised, unmirrored(phases))
    return [abs(each) for each in (*late.epochs, *late.ratio)]


def lead(_: xr.Dataset, phases: Phases | None) -> Values:
    return sorted(abs(each) for each in Delay.between(phases.memorised, unmirrored(phases)).epochs)


def removals(measurements: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    last = measurements.isel(epoch=-1)
    axis = last["removed_embedding_loss"].dims[0]
    keys = {axis: list(grokviz.key_frequencies_of(measurements))}
    return (
        last["removed_embedding_loss"].sel(keys).values,
        last["removed_embedding_loss_control_high"].sel(keys).values,
    )


def span_of_removals(measurements: xr.Dataset, _: Phases | None) -> Values:
    losses, highs = removals(measurements)
    return [losses[losses > highs].min(), losses[losses > highs].max()]


def span_of_accuracies(measurements: xr.Dataset, _: Phases | None) -> Values:
    losses, highs = removals(measurements)
    last = measurements.isel(epoch=-1)["removed_embedding_accuracy"]
    accuracies = last.sel({last.dims[0]: list(grokviz.key_frequencies_of(measurements))}).values
    return [100 * accuracies[losses > highs].min(), 100 * accuracies[losses > highs].max()]


def highest_control(measurements: xr.Dataset, _: Phases | None) -> Values:
    losses, highs = removals(measurements)
    return [highs[losses > highs].max()]


def alone(measurements: xr.Dataset, _: Phases | None) -> Values:
    kept = ", ".join(map(str, grokviz.key_frequencies_of(measurements)))
    return [100 * measurements["kept_accuracy"].sel(kept=kept).isel(epoch=-1).item()]


def last_of(name: str) -> Fact:
    return lambda measurements, _: [float(measurements[name][-1])]


FACTS: dict[str, Fact] = {
    rf"answers {NUMBER}% of": lambda m, _: [100 * float(judged(m, "accuracy")[-1])],
    rf"with a loss of {NUMBER} nats": lambda m, _: [float(judged(m, "loss")[-1])],
    rf"{NUMBER}% of those it was trained on": lambda m, _: [100 * float(m["accuracy"].sel(split="train")[-1])],
    rf"chance is {NUMBER}%": lambda m, _: [100 / int(m["n_answers"])],
    rf"it began with {NUMBER}%": lambda m, _: [100 * float(judged(m, "accuracy")[0])],
    rf"the most is {NUMBER}%, at epoch {NUMBER}": best,
    rf"99% of train pairs between epochs {NUMBER} and {NUMBER}": lambda _, p: interval(p.memorised),
    rf"95% of (?:unseen|test) pairs between epochs {NUMBER} and {NUMBER}": lambda _, p: interval(unmirrored(p)),
    rf"{NUMBER} to {NUMBER} epochs after memorising \({NUMBER} to {NUMBER} times as late": delay,
    rf"{NUMBER} to {NUMBER} epochs before it had memorised": lead,
    rf"distance irrelevance is {NUMBER}": last_of("distance_irrelevance"),
    rf"gradient symmetricity {NUMBER}": last_of("gradient_symmetricity"),
    rf"the loss on (?:unseen|test) pairs is {NUMBER} to {NUMBER}": span_of_removals,
    rf"{NUMBER} as it is": lambda m, _: [float(judged(m, "loss")[-1])],
    rf"without another instead at most {NUMBER}, in 95 %": highest_control,
    rf"and it answers {NUMBER}% to {NUMBER}%": span_of_accuracies,
    rf"alone in W_E leave {NUMBER}% right": alone,
    rf"reached 95% between epochs {NUMBER} and {NUMBER}": lambda _, p: interval(p.grokked),
    rf"evaluation since, to epoch {NUMBER}": lambda _, p: [p.last_epoch],
    rf"below it again in {NUMBER} evaluations": lambda _, p: [p.outcome.numbers["below"]],
    rf"below it again since epoch {NUMBER}": lambda _, p: [p.outcome.lost.by],
    rf"at epoch {NUMBER}": lambda m, _: [int(m["epoch"][-1])],
}
"""What a number is of, by the words that it stands in."""


def written(number: str) -> float:
    return float(number.replace(",", ""))


def hold_to(sentences: list[str], measurements: xr.Dataset) -> int:
    """Check every number, and return how many there are."""
    phases, count = phases_of(measurements), 0
    labels = (
        "|".join(map(str, measurements[measurements["is_key_frequency"].dims[0]].values))
        if "is_key_frequency" in measurements
        else "0"
    )
    for sentence in sentences:
        rest = sentence
        for words, fact in FACTS.items():
            for found in re.finditer(words, sentence):
                if words.startswith("at epoch") and "the most is" in sentence[: found.start()]:
                    continue
                expected = fact(measurements, phases)
                for number, value in zip(found.groups(), expected, strict=True):
                    assert written(number) == pytest.approx(value, rel=0.051, abs=0.051), (sentence, words)
                    count += 1
                rest = rest.replace(found.group(), "")
        for words in PRINTED:
            rest = re.sub(words, "", rest)
        # what is left are names of frequencies
        left = re.sub(rf"\b(?:{labels})\b(?=,| and|:|;| is| are|$|\.$| in| leave)|(?<=and )(?:{labels})\b", "", rest)
        assert not re.search(r"\d", left.replace("95% of", "").replace("99% of", "")), (sentence, left)
    return count


def said_of(measurements: xr.Dataset, config: RunConfig | None = None) -> list[str]:
    config = config or grokviz.preset("quick")
    return [said.text for said in opening(config, measurements, phases_of(measurements), None)]


@pytest.fixture(scope="module")
def grokked(quick_run: grokviz.Run) -> xr.Dataset:
    return with_causes(quick_run.measurements, quick_run.interventions)


def with_test_accuracy(measurements: xr.Dataset, course: np.ndarray) -> xr.Dataset:
    """The measurements as they would be of a run whose test accuracy took another course."""
    splits = [each for each in measurements["split"].values.tolist() if each.startswith("test")]
    there = np.isin(measurements["history_epoch"].values, measurements["epoch"].values)
    accuracy = measurements["accuracy"].copy()
    accuracy.loc[{"split": splits}] = course[there][:, None]
    return measurements.assign(accuracy=accuracy, history_test_accuracy=("history_epoch", course.astype(np.float64)))


def kinds(measurements: xr.Dataset) -> dict[str, xr.Dataset]:
    epochs = measurements["history_epoch"].values
    unstable = np.where(epochs > 2000, 1.0, 0.02)
    unstable[epochs == 3000] = 0.5
    history = [name for name in measurements.data_vars if str(name).startswith("history_")]
    return {
        "grokked": measurements,
        "fast": with_test_accuracy(measurements, np.where(epochs > 20, 1.0, 0.02)),
        "unstable": with_test_accuracy(measurements, unstable),
        "lost": with_test_accuracy(measurements, np.where((epochs > 2000) & (epochs < 3000), 1.0, 0.02)),
        "never": with_test_accuracy(measurements, np.where(epochs > 2000, 0.5, 0.02)),
        "single": measurements.drop_vars([*history, "history_epoch"]).isel(epoch=[-1]),
    }


@pytest.mark.slow
def test_every_number_of_every_sentence_is_that_of_the_measurements(grokked: xr.Dataset) -> None:
    beginnings = {
        "grokked": "It grokked: ",
        "fast": "It learned the rule while it memorised",
        "unstable": "It grokked, and has fallen back since",
        "lost": "It grokked, and lost it again",
        "never": "It memorised, and has not grokked",
        "single": "This is one network",
    }
    least = {"grokked": 20, "fast": 15, "unstable": 15, "lost": 15, "never": 10, "single": 8}
    for kind, measurements in kinds(grokked).items():
        sentences = said_of(measurements)
        assert len(sentences) == 5
        assert sentences[0].startswith(beginnings[kind]), kind
        assert hold_to(sentences, measurements) >= least[kind], kind


def test_so_are_those_of_a_run_without_keys(tiny_run: grokviz.Run) -> None:
    assert hold_to(said_of(tiny_run.measurements, tiny_run.config), tiny_run.measurements) >= 4


def sentences_on(page: str) -> list[str]:
    part = re.search(r'<ol class="opening">(.*?)</ol>', page, re.DOTALL)[1]
    return [
        html.unescape(re.sub(r"<[^>]*>", "", item)).strip() for item in re.findall(r"<li>(.*?)</li>", part, re.DOTALL)
    ]


@pytest.mark.slow
def test_the_page_has_these_sentences_and_no_others(quick_run: grokviz.Run, grokked: xr.Dataset) -> None:
    for kind in ("grokked", "lost"):
        measurements = kinds(grokked)[kind]
        page = render_report(quick_run, measurements, progress=False)
        assert sentences_on(page) == said_of(measurements)


@pytest.mark.slow
def test_a_diverged_run_and_a_task_without_harmonics_have_their_sentences(
    tiny_config: RunConfig, tmp_path: Path
) -> None:
    task = replace(tiny_config.task, operation="x2_xy_y2", p=23)
    run = grokviz.train(replace(tiny_config, task=task), tmp_path / "x2", progress=False)
    grokviz.measure(run, progress=False)
    page = sentences_on(render_report(run, run.measurements, progress=False))
    assert page == said_of(run.measurements, run.config)
    assert hold_to(page, run.measurements) >= 4
    training = replace(tiny_config.training, learning_rate=1e30)
    with pytest.warns(grokviz.GrokvizWarning, match="diverged"):
        run = grokviz.train(replace(tiny_config, training=training), tmp_path / "diverged", progress=False)
    grokviz.measure(run, progress=False)
    page = sentences_on(render_report(run, run.measurements, progress=False))
    assert page[0].startswith("It diverged: ")
    assert hold_to(page, run.measurements) >= 2
