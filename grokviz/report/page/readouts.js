// What neurons write into the logits: one neuron's readout over the answers, and that of all by block.
"use strict";

class NeuronReadout {
  /**
   * @param {HTMLElement} element
   * @param {RunData} run
   * @param {Network} network
   * @param {State} state
   */
  constructor(element, run, network, state) {
    this.run = run;
    this.network = network;
    this.state = state;
    this.needs = ["epoch", "neuron", "hovered", "pinned"];
    this.surface = new Surface(element, () => `What neuron ${state.get("neuron")} writes into each logit`, () => this.paint());
  }

  draw() {
    this.surface.redraw();
  }

  paint() {
    const { surface, run, network, state } = this;
    const stop = run.stopAt(state.get("epoch"));
    const written = network.readoutOf(stop, state.get("neuron"));
    const { n, order } = run.task;
    const most = written.reduce((largest, x) => Math.max(largest, Math.abs(x)), 1e-12);
    const x = (place) => 50 + (place / (n - 1)) * (surface.width - 58);
    const y = (value) => (surface.height - 20) / 2 - (value / most) * ((surface.height - 36) / 2);
    surface.text(inWords(most), 44, y(most), { align: "right", colour: "soft" });
    surface.text(inWords(-most), 44, y(-most), { align: "right", colour: "soft" });
    surface.line([[50, y(0)], [surface.width - 8, y(0)]], ink("edge"), { width: 1 });
    const number = run.has("neuron_frequency") ? run.at("neuron_frequency", stop)[state.get("neuron")] : NaN;
    surface.line(order.map((c, place) => [x(place), y(written[c])]), run.colour(run.labelOf(number)) ?? ink("ink"), { width: 1.8 });
    surface.text("answer", surface.width / 2, surface.height - 9, { align: "center", colour: "soft" });
  }
}

// All neurons, sorted by the block that they serve, against the blocks of their readout.
class AllReadouts {
  /**
   * @param {HTMLElement} element
   * @param {RunData} run
   * @param {Network} network
   * @param {State} state
   * @param {Tip} tip
   */
  constructor(element, run, network, state, tip) {
    this.run = run;
    this.network = network;
    this.state = state;
    this.needs = ["epoch", "hovered", "pinned", "neuron"];
    this.surface = new Surface(element, () => `Readout of every neuron by ${run.blocks.axis}`, () => this.paint());
    answering(this.surface, tip, state, (x, y) => this.pick(x, y));
  }

  draw() {
    this.surface.redraw();
  }

  get stop() {
    return this.run.stopAt(this.state.get("epoch"));
  }

  get frame() {
    const { width, height } = this.surface;
    return { left: 46, top: 4, width: width - 110, height: height - 26 };
  }

  // Neurons by block, then by purity; those without one last.
  order() {
    const numbers = this.run.at("neuron_frequency", this.stop);
    const purity = this.run.at("neuron_purity", this.stop);
    const rank = (i) => (Number.isFinite(numbers[i]) ? numbers[i] : Infinity);
    return Array.from(numbers, (_, i) => i).sort((i, j) => rank(i) - rank(j) || purity[j] - purity[i]);
  }

  paint() {
    const { surface, run, network, state, frame } = this;
    const { blocks } = run;
    const norms = network.readoutNorms(this.stop, blocks);
    const order = this.order();
    const { count } = blocks;
    const rows = new Float32Array(norms.length);
    for (let k = 0; k < count; k++) order.forEach((neuron, i) => (rows[k * order.length + i] = norms[neuron * count + k]));
    const [low, high] = largestOf(rows);
    surface.map(rows, count, order.length, { x: frame.left, y: frame.top, width: frame.width, height: frame.height, low, high });
    surface.scale(frame.left + frame.width + 8, frame.top, frame.height, low, high, "sequential", inWords);
    surface.text(blocks.symbol || blocks.axis, 30, frame.top + frame.height / 2, { colour: "soft", align: "right" });
    for (const place of [0, count - 1]) {
      const y = frame.top + ((place + 0.5) / count) * frame.height;
      surface.text(String(blocks.labels[place]), frame.left - 6, y, { align: "right", colour: "soft" });
    }
    surface.text(`neurons, by the ${blocks.axis} that they serve`, frame.left + frame.width / 2, surface.height - 9, { align: "center", colour: "soft" });
    const off = state.block;
    if (off !== null) {
      const cell = frame.height / count;
      surface.box(frame.left, frame.top + blocks.place(off) * cell, frame.width, cell, run.colour(off) ?? ink("accent"), { line: 1.5 });
    }
    const x = frame.left + ((order.indexOf(state.get("neuron")) + 0.5) / order.length) * frame.width;
    surface.line([[x, frame.top], [x, frame.top + frame.height]], "#ffffff", { width: 1 });
  }

  pick(x, y) {
    const { left, top, width, height } = this.frame;
    if (x < left || x >= left + width || y < top || y >= top + height) return null;
    const order = this.order();
    const neuron = order[Math.floor(((x - left) / width) * order.length)];
    const { blocks } = this.run;
    const place = Math.floor(((y - top) / height) * blocks.count);
    const norm = this.network.readoutNorms(this.stop, blocks)[neuron * blocks.count + place];
    const label = blocks.labels[place];
    const words = `neuron ${neuron}: readout of norm ${inWords(norm)} ${blocks.at} ${this.run.inWords(label)}`;
    return { words, block: label, choose: () => this.state.set({ neuron }) };
  }
}
