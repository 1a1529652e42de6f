// Which views a run has: those whose places are on the page.
"use strict";

// The views of measures, in the places `view-NAME` + suffix.
function measureViews(run, state, tip, suffix = "") {
  const makers = {
    circles: (element) => new Circles(element, run, state, tip),
    spectrum: (element) => new Spectrum(element, run, state, tip),
    attention: (element) => new Attention(element, run, state, tip),
    neurons: (element) => new Neurons(element, run, state, tip),
    logits: (element) => logitSpectrum(element, run, state, tip),
    "by-answer": (element) => logitsByAnswer(element, run, state, tip),
  };
  return made(makers, suffix);
}

// What stands beside the figures: whether the keys are used, and what shares what.
function firstLooks(run, experiment, state, tip) {
  const [used, superposed] = [document.getElementById("view-used"), document.getElementById("superposed")];
  return [
    ...(used ? [new Used(used, run, experiment, state, tip)] : []),
    ...(superposed ? [new Superposed(superposed, run, state)] : []),
  ];
}

// The views that work with the network itself.
/**
 * @param {RunData} run
 * @param {Network | null} network
 * @param {Experiment | null} experiment
 * @param {State} state
 * @param {Tip} tip
 */
function networkViews(run, network, experiment, state, tip) {
  if (!network) return [];
  const makers = {
    activation: (element) => activationMap(element, run, network, state, tip),
    "neuron-spectrum": (element) => neuronSpectrum(element, run, network, state, tip),
    readout: (element) => new NeuronReadout(element, run, network, state),
    readouts: (element) => new AllReadouts(element, run, network, state, tip),
  };
  const sum = document.getElementById("sum");
  return [
    new WorkedSum(sum, run, network, experiment, state, tip),
    new Switches(document.getElementById("switches"), run, experiment, state),
    ...made(makers, ""),
  ];
}

function made(makers, suffix) {
  return Object.entries(makers)
    .map(([name, make]) => [document.getElementById(`view-${name}${suffix}`), make])
    .filter(([element]) => element)
    .map(([element, make]) => make(element));
}

function logitSpectrum(element, run, state, tip) {
  return new SquareMap(element, state, tip, {
    needs: ["epoch", "hovered", "pinned"],
    label: () => "Two-dimensional Fourier spectrum of the logits",
    numbers: () => ({ values: run.at("logit_spectrum", run.stopAt(state.get("epoch"))), n: run.task.n }),
    range: largestOf,
    colours: "sequential",
    words: (row, column, norm) => ({
      words: `${run.blocks.components[row]} of a × ${run.blocks.components[column]} of b: ${percent(norm * norm, 2)} of the logits' variance`,
      block: run.blocks.blockOf(Math.max(row, column)),
    }),
    marks: () => marksOfBlock(run, state.block),
    axes: ["a", "component of b"],
  });
}

// The mean logit of every class over the pairs of every answer, both in the order of conjugacy classes.
function logitsByAnswer(element, run, state, tip) {
  const { n, order, elements } = run.task;
  return new SquareMap(element, state, tip, {
    needs: ["epoch"],
    label: () => "Mean logit of every class over the pairs of every answer",
    numbers: () => {
      const values = run.at("logit_by_answer", run.stopAt(state.get("epoch")));
      return { values: Float32Array.from({ length: n * n }, (_, i) => values[order[Math.floor(i / n)] * n + order[i % n]]), n };
    },
    range: (values) => {
      const [, most] = largestOf(values.map(Math.abs));
      return [-most, most];
    },
    colours: "diverging",
    words: (row, column, logit) => ({ words: `answer ${elements[order[row]]}, class ${elements[order[column]]}: ${inWords(logit)}` }),
    marks: () => [],
    axes: ["answer", "class"],
  });
}

function activationMap(element, run, network, state, tip) {
  return new SquareMap(element, state, tip, {
    needs: ["epoch", "neuron", "a", "b"],
    label: () => `Activation of neuron ${state.get("neuron")} for every pair`,
    numbers: () => ({ values: network.at(run.stopAt(state.get("epoch"))).activationMap(state.get("neuron")), n: run.task.n }),
    range: largestOf,
    colours: "sequential",
    words: (a, b, activation) => ({
      words: `neuron ${state.get("neuron")} at a = ${run.task.elements[a]}, b = ${run.task.elements[b]}: ${inWords(activation)}`,
      choose: () => state.set({ a, b }),
    }),
    marks: () => [
      { row: state.get("a"), colour: "#ffffff" },
      { column: state.get("b"), colour: "#ffffff" },
    ],
    axes: ["a", "b"],
  });
}

// The two-dimensional spectrum of a neuron: of its components; where rows are free within their block, of blocks, after the constant.
function neuronSpectrum(element, run, network, state, tip) {
  const { blocks } = run;
  const named = (at) => (blocks.rowsAreFixed ? blocks.components[at] : at ? blocks.labels[at - 1] : "constant");
  return new SquareMap(element, state, tip, {
    needs: ["epoch", "neuron", "hovered", "pinned"],
    label: () => `Two-dimensional spectrum of neuron ${state.get("neuron")}`,
    numbers: () => {
      const map = network.at(run.stopAt(state.get("epoch"))).activationMap(state.get("neuron"));
      const values = network.spectrum2d(map, blocks.basis);
      return blocks.rowsAreFixed ? { values, n: run.task.n } : { values: blocks.normsOf(values), n: blocks.count + 1 };
    },
    range: largestOf,
    colours: "sequential",
    words: (row, column, norm) => ({
      words: `${named(row)} of a × ${named(column)} of b: norm ${inWords(norm)}`,
      block: blocks.rowsAreFixed ? blocks.blockOf(Math.max(row, column)) : blocks.labels[Math.max(row, column) - 1] ?? null,
    }),
    marks: () => marksOfBlock(run, state.block),
    axes: ["a", blocks.rowsAreFixed ? "component of b" : `${blocks.axis} of b`],
  });
}

// The findings of the figures that move, at the stop of the cursor, in the places NAME + suffix.
class Spoken {
  /**
   * @param {RunData} run
   * @param {State} state
   * @param {string} suffix
   */
  constructor(run, state, suffix = "") {
    this.run = run;
    this.state = state;
    this.suffix = suffix;
    this.needs = ["epoch"];
  }

  draw() {
    const stop = this.run.stopAt(this.state.get("epoch"));
    for (const [name, { findings, shows }] of Object.entries(this.run.spoken)) {
      const figure = document.getElementById(`${name}${this.suffix}`);
      if (!figure) continue;
      figure.querySelector("h3").textContent = findings[stop];
      figure.querySelector(".shows").textContent = shows[stop];
    }
  }
}
