"""The words that a page uses from its first line on, said where they first stand: under the sentences and the figures in view.

Elsewhere a figure's caption is the first line of its docstring.
"""

from collections.abc import Mapping

import xarray as xr

from grokviz.analysis.reading.derived import blocks_in, key_frequencies_of
from grokviz.analysis.reading.phases import Phases
from grokviz.config import HELD_EVALUATIONS, PURE_NEURON
from grokviz.tasks.blocks import Blocks

OF_FREQUENCIES = {
    "token_circles": "Every token in the plane of k: the two directions of d_model in which W_E holds cos and sin of k. Round: "
    "1 - std / mean of the radius, 100% on a circle.",
    "spectrum": "Share of the power at each {axis}. Key is what has {rule} (hatched). Click or tap a bar (or arrow keys, Enter) "
    "to pin its {axis} everywhere.",
    "neurons_by_frequency": "A dot is a neuron, at the {axis} that holds most of its variance over all pairs. Its purity is that "
    "share; from {pure} on (dotted) it is pure. Numbers on top: pure neurons. Click one to see it "
    "alone.",
    "attention_patterns": "Attention from '=' to a, for every pair; the rest goes to b and to '='. A pattern of one colour "
    "depends on nothing.",
}

OF_IRREPS = {
    **OF_FREQUENCIES,
    "token_circles": "Every token on the two strongest directions of d_model in which W_E holds the irrep; its colour: its "
    "conjugacy class.",
    "spectrum": "Share of the power at each irrep. Key is what has {rule}. Click or tap a bar (or arrow keys, Enter) to pin "
    "its irrep everywhere.",
}


def captions_in_view(measurements: xr.Dataset, blocks: Blocks | None) -> Mapping[str, str]:
    """The captions of the figures that are always in view, by their names."""
    if blocks is None:
        return {}
    rule = str(measurements["key_frequency_rule"].item())
    texts = OF_FREQUENCIES if blocks.axis == "frequency" else OF_IRREPS
    return {name: text.format(axis=blocks.axis, rule=rule, pure=f"{PURE_NEURON:.0%}") for name, text in texts.items()}


def terms(measurements: xr.Dataset, phases: Phases | None) -> str:
    """What the sentences mean by their words: memorised, grokked, unseen pairs, key blocks."""
    said = []
    if phases and not phases.too_few:
        rule = phases.rule
        said.append(
            f"Memorised: {rule.train_threshold:.0%} of train pairs answered, {_NUMBERS[HELD_EVALUATIONS]} evaluations in a row; "
            f"grokked: {rule.test_threshold:.0%} of test pairs"
        )
    if "test_unmirrored" in measurements["split"].values.tolist():
        said.append("unseen pairs: neither they nor their mirror (b, a) are trained on")
    if key_frequencies_of(measurements):
        plural = blocks_in(measurements).plural
        said.append(f"key {plural}: those that the readout W_out W_U is made of, by the rule under the spectrum")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


_NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
