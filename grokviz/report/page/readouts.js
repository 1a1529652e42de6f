// What neurons write into the logits: one neuron's readout over the answers, and that of all by frequency.
"use strict";

class NeuronReadout {
  constructor(element, run, network, state) {
    Object.assign(this, { run, network, state });
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
    const { n } = run;
    const order = Array.from({ length: n }, (_, place) => (run.coordinates ? run.coordinates.indexOf(place) : place));
    const most = written.reduce((largest, x) => Math.max(largest, Math.abs(x)), 1e-12);
    const x = (place) => 50 + (place / (n - 1)) * (surface.width - 58);
    const y = (value) => (surface.height - 20) / 2 - (value / most) * ((surface.height - 36) / 2);
    surface.text(inWords(most), 44, y(most), { align: "right", colour: "soft" });
    surface.text(inWords(-most), 44, y(-most), { align: "right", colour: "soft" });
    surface.line([[50, y(0)], [surface.width - 8, y(0)]], ink("edge"), { width: 1 });
    const k = run.has("neuron_frequency") ? run.at("neuron_frequency", stop)[state.get("neuron")] : NaN;
    surface.line(order.map((c, place) => [x(place), y(written[c])]), run.colour(k) ?? ink("ink"), { width: 1.8 });
    surface.text("answer", surface.width / 2, surface.height - 9, { align: "center", colour: "soft" });
  }
}

// All neurons, sorted by the frequency that they serve, against the frequencies of their readout.
class AllReadouts {
  constructor(element, run, network, state, tip) {
    Object.assign(this, { run, network, state });
    this.needs = ["epoch", "hovered", "pinned", "neuron"];
    this.surface = new Surface(element, () => "Readout of every neuron by frequency", () => this.paint());
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

  // Neurons by frequency, then by purity; those without a frequency last.
  order() {
    const frequency = this.run.at("neuron_frequency", this.stop);
    const purity = this.run.at("neuron_purity", this.stop);
    const rank = (i) => (Number.isFinite(frequency[i]) ? frequency[i] : Infinity);
    return Array.from(frequency, (_, i) => i).sort((i, j) => rank(i) - rank(j) || purity[j] - purity[i]);
  }

  paint() {
    const { surface, run, network, state, frame } = this;
    const norms = network.readoutNorms(this.stop);
    const order = this.order();
    const count = run.frequencies;
    const rows = new Float32Array(norms.length);
    for (let k = 0; k < count; k++) order.forEach((neuron, i) => (rows[k * order.length + i] = norms[neuron * count + k]));
    const [low, high] = largestOf(rows);
    surface.map(rows, count, order.length, { x: frame.left, y: frame.top, width: frame.width, height: frame.height, low, high });
    surface.scale(frame.left + frame.width + 8, frame.top, frame.height, low, high, "sequential", inWords);
    surface.text("k", 30, frame.top + frame.height / 2, { colour: "soft", align: "right" });
    for (const k of [1, count]) surface.text(String(k), frame.left - 6, frame.top + ((k - 0.5) / count) * frame.height, { align: "right", colour: "soft" });
    surface.text("neurons, by the frequency that they serve", frame.left + frame.width / 2, surface.height - 9, { align: "center", colour: "soft" });
    const off = state.frequency;
    if (off !== null) {
      const cell = frame.height / count;
      surface.box(frame.left, frame.top + (off - 1) * cell, frame.width, cell, run.colour(off) ?? ink("accent"), { line: 1.5 });
    }
    const x = frame.left + ((order.indexOf(state.get("neuron")) + 0.5) / order.length) * frame.width;
    surface.line([[x, frame.top], [x, frame.top + frame.height]], "#ffffff", { width: 1 });
  }

  pick(x, y) {
    const { left, top, width, height } = this.frame;
    if (x < left || x >= left + width || y < top || y >= top + height) return null;
    const order = this.order();
    const neuron = order[Math.floor(((x - left) / width) * order.length)];
    const k = Math.floor(((y - top) / height) * this.run.frequencies) + 1;
    const norm = this.network.readoutNorms(this.stop)[neuron * this.run.frequencies + k - 1];
    const words = `neuron ${neuron}: readout of norm ${inWords(norm)} at ${this.run.frequencyInWords(k)}`;
    return { words, frequency: k, choose: () => this.state.set({ neuron }) };
  }
}
