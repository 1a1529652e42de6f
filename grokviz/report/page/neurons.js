// The neurons: which block, of a cyclic group frequency, each serves; and one of them, its activation for all pairs, spectrum and readout.
"use strict";

class Neurons {
  /**
   * @param {HTMLElement} element
   * @param {RunData} run
   * @param {State} state
   * @param {Tip} tip
   */
  constructor(element, run, state, tip) {
    this.run = run;
    this.state = state;
    this.needs = ["epoch", "hovered", "pinned", "neuron"];
    this.surface = new Surface(element, () => this.inWords(), () => this.paint());
    answering(this.surface, tip, state, (x, y) => this.pick(x, y), () => this.items());
  }

  // The living neurons, block by block.
  items() {
    return this.dots().sort((one, other) => one.x - other.x).map((dot) => this.itemOf(dot));
  }

  draw() {
    this.surface.redraw();
  }

  inWords() {
    const { at, axis } = this.run.blocks;
    return `Purity of every neuron ${at} its ${axis}, at epoch ${epochInWords(this.run.stops[this.stop])}`;
  }

  get stop() {
    return this.run.stopAt(this.state.get("epoch"));
  }

  get frame() {
    const { width, height } = this.surface;
    return { left: 46, right: width - 8, top: 26, bottom: height - 22 };
  }

  // Where each living neuron lies: beside its block in its own order, so that each can be pointed at.
  dots() {
    const { left, right, top, bottom } = this.frame;
    const numbers = this.run.at("neuron_frequency", this.stop);
    const purity = this.run.at("neuron_purity", this.stop);
    const slot = (right - left) / this.run.blocks.count;
    const dots = [];
    numbers.forEach((number, neuron) => {
      if (!Number.isFinite(number) || !Number.isFinite(purity[neuron])) return;
      const spread = ((neuron * 0.618034) % 1) - 0.5;
      const label = this.run.labelOf(number);
      dots.push({ neuron, label, purity: purity[neuron], x: left + (number - 0.5 + 0.7 * spread) * slot, y: bottom - purity[neuron] * (bottom - top) });
    });
    return dots;
  }

  paint() {
    const { surface, run, state } = this;
    const { left, right, top, bottom } = this.frame;
    for (const share of [0, 0.5, 1]) {
      surface.text(percent(share, 0), left - 6, bottom - share * (bottom - top), { align: "right", colour: "soft" });
    }
    const pure = bottom - run.neurons.pure * (bottom - top);
    surface.line([[left, pure], [right, pure]], ink("soft"), { width: 1, dash: [2, 3] });
    surface.line([[left, bottom], [right, bottom]], ink("edge"), { width: 1 });
    const off = state.block;
    for (const { neuron, label, x, y } of this.dots()) {
      const chosen = state.get("neuron") === neuron;
      surface.context.globalAlpha = chosen || off === null || off === label ? 1 : 0.2;
      surface.context.beginPath();
      surface.context.arc(x, y, chosen ? 5 : 2.4, 0, 7);
      surface.context.fillStyle = run.colour(label) ?? ink("neutral");
      surface.context.fill();
      if (chosen) surface.line([[x - 9, y], [x + 9, y]], ink("ink"), { width: 1.5 });
      if (chosen) surface.line([[x, y - 9], [x, y + 9]], ink("ink"), { width: 1.5 });
    }
    surface.context.globalAlpha = 1;
    surface.text("purity", left - 6, bottom - 0.75 * (bottom - top), { align: "right", colour: "soft" });
    this.paintCounts();
    const { count } = run.blocks;
    for (const { label, place } of run.blocks.ticks(Math.max(1, Math.ceil((count * 26) / (right - left) / 5) * 5), (right - left) / count)) {
      const x = left + (place + 0.5) * ((right - left) / count);
      surface.text(String(label), x, surface.height - 10, { align: "center", colour: "soft" });
    }
  }

  // The number of pure neurons of each block that has some, above them; of two that would touch, the first.
  paintCounts() {
    const { surface, run } = this;
    const { left, right } = this.frame;
    const slot = (right - left) / run.blocks.count;
    surface.text("pure", left - 6, 9, { align: "right", colour: "soft" });
    let written = left - slot;
    run.at("neurons_per_frequency", this.stop).map(Math.round).forEach((count, place) => {
      const x = left + (place + 0.5) * slot;
      const half = surface.context.measureText(String(count)).width / 2 + 2;
      if (!count || x - half < written) return;
      surface.text(String(count), x, 9, { align: "center", bold: run.keys.labels.includes(run.blocks.labels[place]) });
      written = x + half;
    });
  }

  pick(x, y) {
    const near = this.dots().map((dot) => ({ dot, distance: Math.hypot(dot.x - x, dot.y - y) }));
    const best = near.reduce((a, b) => (b.distance < a.distance ? b : a), { dot: null, distance: Infinity });
    if (best.distance > 10) return null;
    return this.itemOf(best.dot);
  }

  itemOf({ neuron, label, purity, x, y }) {
    const words = `neuron ${neuron}: ${percent(purity)} of its variance ${this.run.blocks.at} ${this.run.inWords(label)}`;
    return { words, block: label, choose: () => this.state.set({ neuron }), x, y };
  }
}

// A map of n × n numbers with its pointer: what the activation map and the two-dimensional spectra are drawn with.
class SquareMap {
  /**
   * @param {HTMLElement} element
   * @param {State} state
   * @param {Tip} tip
   * @param {{
   *   needs: string[],
   *   label: () => string,
   *   numbers: () => {values: Float32Array, n: number} | null,
   *   range: (values: Float32Array) => number[],
   *   colours: string,
   *   words: (row: number, column: number, number: number) =>
   *     {words: string, block?: string | number | null, choose?: () => void},
   *   marks: (n: number) => {row?: number, column?: number, colour: string}[],
   *   axes: string[],
   * }} shown
   */
  constructor(element, state, tip, { needs, label, numbers, range, colours, words, marks, axes }) {
    this.state = state;
    this.needs = needs;
    this.numbers = numbers;
    this.range = range;
    this.colours = colours;
    this.words = words;
    this.marks = marks;
    this.axes = axes;
    this.surface = new Surface(element, label, () => this.paint());
    answering(this.surface, tip, state, (x, y) => this.pick(x, y));
  }

  draw() {
    this.surface.redraw();
  }

  get square() {
    const { width, height } = this.surface;
    const size = Math.min(width - 84, height - 20);
    return { x: 28 + (width - 84 - size) / 2, y: 2, size };
  }

  paint() {
    const shown = this.numbers();
    if (!shown) return;
    const { values, n } = shown;
    const [low, high] = this.range(values);
    const { x, y, size } = this.square;
    const { surface } = this;
    surface.map(values, n, n, { x, y, width: size, height: size, low, high, colours: this.colours });
    surface.box(x, y, size, size, ink("edge"));
    surface.text(this.axes[0], x - 6, y + size / 2, { align: "right", colour: "soft" });
    surface.text(this.axes[1], x + size / 2, y + size + 10, { align: "center", colour: "soft" });
    surface.scale(x + size + 8, y, size, low, high, this.colours, inWords);
    for (const { row, column, colour } of this.marks(n)) {
      const cell = size / n;
      if (row !== undefined) surface.box(x, y + row * cell, size, cell, colour);
      if (column !== undefined) surface.box(x + column * cell, y, cell, size, colour);
    }
  }

  pick(x, y) {
    const shown = this.numbers();
    const { x: left, y: top, size } = this.square;
    if (!shown || x < left || x >= left + size || y < top || y >= top + size) return null;
    const { values, n } = shown;
    const [row, column] = [Math.floor(((y - top) / size) * n), Math.floor(((x - left) / size) * n)];
    return this.words(row, column, values[row * n + column]);
  }
}

// The rows and columns of a block in a map of components, or of blocks after the constant, in its colour.
function marksOfBlock(run, label) {
  if (label === null) return [];
  const colour = run.colour(label) ?? ink("accent");
  const { blocks } = run;
  if (!blocks.rowsAreFixed) return [{ row: blocks.place(label) + 1, colour }, { column: blocks.place(label) + 1, colour }];
  return blocks.rowsOf(label).flatMap((at) => [{ row: at, colour }, { column: at, colour }]);
}

function largestOf(values) {
  let most = 0;
  for (const value of values) if (value > most) most = value;
  return [0, most || 1];
}
