// The tokens on the circles of the key frequencies, and the spectra of embedding and readout.
"use strict";

class Circles {
  /**
   * @param {HTMLElement} element
   * @param {RunData} run
   * @param {State} state
   * @param {Tip} tip
   */
  constructor(element, run, state, tip) {
    this.run = run;
    this.state = state;
    this.needs = ["epoch", "hovered", "pinned", "a", "b"];
    this.surface = new Surface(element, () => this.inWords(), () => this.paint());
    this.reaches = new Map();
    answering(this.surface, tip, state, (x, y) => this.pick(x, y), () => this.items());
  }

  items() {
    return this.cells().map(({ label, x, y }) => ({ words: `plane of ${this.run.inWords(label)}`, block: label, x, y }));
  }

  draw() {
    this.surface.redraw();
  }

  inWords() {
    const { keys, blocks } = this.run;
    const planes = keys.labels.length ? `key ${blocks.plural} ${keys.labels.join(", ")}` : `no key ${blocks.plural}`;
    return `Tokens in the planes of the ${planes} at epoch ${epochInWords(this.run.stops[this.stop])}`;
  }

  get stop() {
    return this.run.stopAt(this.state.get("epoch"));
  }

  // The planes shown: those of the keys; and of the block that is shown off, if it is none of them.
  get shown() {
    const { keys: { labels: keys }, blocks } = this.run;
    const off = this.state.block;
    return off === null || keys.includes(off) || blocks.place(off) < 0 ? keys : [...keys, off];
  }

  // The cells of a grid that uses the room best.
  cells() {
    const { width, height } = this.surface;
    const count = Math.max(1, this.shown.length);
    let best = { size: 0 };
    for (let columns = 1; columns <= count; columns++) {
      const rows = Math.ceil(count / columns);
      const size = Math.min(width / columns, (height - 4) / rows - 18);
      if (size > best.size) best = { size, columns, rows };
    }
    const left = (width - best.columns * best.size) / 2;
    const top = Math.max(0, (height - best.rows * (best.size + 18)) / 2);
    return this.shown.map((label, i) => ({
      label,
      x: left + (i % best.columns) * best.size,
      y: top + Math.floor(i / best.columns) * (best.size + 18) + 18,
      size: best.size,
    }));
  }

  // How far the tokens lie out at any stop, in any plane of a key: the scale is one, so that growth is seen as growth, and small as
  // small. Where there is no key, in the plane that is shown off.
  get reach() {
    const { keys } = this.run;
    const labels = keys.labels.length ? keys.labels : this.shown;
    const name = labels.join();
    if (!this.reaches.has(name)) {
      let most = 0;
      for (let stop = 0; stop < this.run.stops.length; stop++) {
        for (const label of labels) {
          for (const [x, y] of this.points(label, stop)) if (Number.isFinite(x + y)) most = Math.max(most, Math.abs(x), Math.abs(y));
        }
      }
      this.reaches.set(name, 1.08 * most || 1);
    }
    return this.reaches.get(name);
  }

  points(label, stop) {
    const plane = this.run.at("token_plane", stop);
    const from = this.run.blocks.place(label) * this.run.task.n * 2;
    return Array.from({ length: this.run.task.n }, (_, t) => [plane[from + 2 * t], plane[from + 2 * t + 1]]);
  }

  dots(cell) {
    const scale = cell.size / 2 / this.reach;
    return this.points(cell.label, this.stop).map(([x, y]) => [
      cell.x + cell.size / 2 + x * scale,
      cell.y + cell.size / 2 - y * scale,
    ]);
  }

  paint() {
    const { surface, run, state } = this;
    const pair = new Map([[state.get("a"), "a"], [state.get("b"), "b"]]);
    for (const cell of this.cells()) {
      const { label, x, y, size } = cell;
      const off = state.block === label;
      surface.named(run.blocks.short(label), x + size / 2, y - 8, run.colour(label), { bold: off });
      surface.box(x + 1.5, y + 1.5, size - 3, size - 3, off ? run.colour(label) ?? ink("ink") : ink("edge"), { line: off ? 2.5 : 1 });
      const dots = this.dots(cell);
      dots.forEach(([dotX, dotY], token) => {
        if (!Number.isFinite(dotX)) return;
        surface.context.beginPath();
        surface.context.arc(dotX, dotY, Math.max(1.6, size / 70), 0, 7);
        surface.context.fillStyle = hue(run.blocks.turn(label, token) ?? run.task.hues[token]);
        surface.context.fill();
      });
      for (const [token, name] of pair) {
        if (!dots[token]) continue;
        surface.context.beginPath();
        const [dotX, dotY] = dots[token];
        surface.context.arc(dotX, dotY, 6, 0, 7);
        surface.context.strokeStyle = ink("ink");
        surface.context.lineWidth = 1.5;
        surface.context.stroke();
        surface.text(name, dots[token][0] + 9, dots[token][1] - 7, { bold: true });
      }
    }
  }

  pick(x, y) {
    const cell = this.cells().find((c) => x >= c.x && x < c.x + c.size && y >= c.y - 18 && y < c.y + c.size);
    if (!cell) return null;
    const [distance, token] = this.dots(cell)
      .map(([dotX, dotY], i) => [Math.hypot(dotX - x, dotY - y), i])
      .reduce((best, one) => (one[0] < best[0] ? one : best), [Infinity, 0]);
    const where = this.run.inWords(cell.label);
    const words = distance < 12 ? `token ${this.run.task.elements[token]} in the plane of ${where}` : `plane of ${where}`;
    return { words, block: cell.label };
  }
}

class Spectrum {
  /**
   * @param {HTMLElement} element
   * @param {RunData} run
   * @param {State} state
   * @param {Tip} tip
   */
  constructor(element, run, state, tip) {
    this.run = run;
    this.state = state;
    this.needs = ["epoch", "hovered", "pinned"];
    this.surface = new Surface(element, () => this.inWords(), () => this.paint());
    this.tops = new Map();
    answering(this.surface, tip, state, (x, y) => this.pick(x, y), () => this.items());
  }

  items() {
    const { blocks } = this.run;
    const [embedding, readout] = ["embedding", "readout"].map((what) => this.run.at(`${what}_power`, this.stop));
    const [{ left, right, bottom }] = this.rows;
    return blocks.labels.map((label, i) => ({
      words: `${this.run.inWords(label)}: ${percent(embedding[i], 2)} of the embedding's power, ${percent(readout[i], 2)} of the readout's`,
      block: label,
      x: left + ((i + 0.5) * (right - left)) / blocks.count,
      y: bottom,
    }));
  }

  draw() {
    this.surface.redraw();
  }

  inWords() {
    const epoch = epochInWords(this.run.stops[this.stop]);
    const { at, axis } = this.run.blocks;
    return `Share of power ${at} each ${axis} in embedding and readout at epoch ${epoch}`;
  }

  get stop() {
    return this.run.stopAt(this.state.get("epoch"));
  }

  get rows() {
    const { width, height } = this.surface;
    const room = (height - 20) / 2;
    return ["embedding", "readout"].map((what, i) => ({
      what,
      left: 46,
      right: width - 8,
      top: i * room + 16,
      bottom: (i + 1) * room - 4,
    }));
  }

  // The most that any block holds at any stop: the scale stays.
  top(what) {
    if (!this.tops.has(what)) {
      let most = 0;
      for (let stop = 0; stop < this.run.stops.length; stop++) {
        for (const share of this.run.at(`${what}_power`, stop)) if (share > most) most = share;
      }
      this.tops.set(what, 1.12 * most || 1);
    }
    return this.tops.get(what);
  }

  paint() {
    const { surface, run, state } = this;
    for (const { what, left, right, top, bottom } of this.rows) {
      const power = run.at(`${what}_power`, this.stop);
      const slot = (right - left) / power.length;
      const most = this.top(what);
      const perComponent = run.blocks.perComponent(power);
      const harmonics = run.harmonicsIn(perComponent);
      surface.text(what, left + 4, top - 7, { colour: "soft" });
      surface.text(percent(most / 1.12, 0), left - 6, bottom - (bottom - top) / 1.12, { align: "right", colour: "soft" });
      surface.text("0", left - 6, bottom, { align: "right", colour: "soft" });
      surface.line([[left, bottom], [right, bottom]], ink("edge"), { width: 1 });
      let written = left; // how far to the right harmonics are named: of two that touch, the first is
      const tops = power.map((share) => bottom - (Number.isFinite(share) ? (share / most) * (bottom - top) : 0));
      power.forEach((share, i) => {
        const label = run.blocks.labels[i];
        const height = Number.isFinite(share) ? (share / most) * (bottom - top) : 0;
        const harmonic = harmonics[i];
        const key = harmonic ? harmonic.key : label;
        const colour = run.colour(key) ?? ink("neutral");
        const x = left + i * slot + slot * 0.1;
        if (state.block === label) surface.box(x - slot * 0.1, top, slot, bottom - top, ink("shade"), { fill: true });
        if (harmonic) this.hatched(x, bottom - height, slot * 0.8, height, colour);
        else surface.box(x, bottom - height, slot * 0.8, height, colour, { fill: true });
        const words = harmonic ? `${harmonic.multiple}×${harmonic.key}` : "";
        const half = surface.context.measureText(words).width / 2 + 2;
        if (!harmonic || x + slot * 0.4 - half < written) return;
        const near = Math.ceil(half / slot);
        if (tops.some((y, at) => at !== i && Math.abs(at - i) <= near && y < bottom - height - 1)) return; // another bar is in the way
        surface.text(words, x + slot * 0.4, bottom - height - 7, { align: "center", colour: "soft" });
        written = x + slot * 0.4 + half;
      });
    }
    const { left, right } = this.rows[0];
    const { count } = run.blocks;
    const every = Math.ceil((count * 26) / (right - left));
    for (const { label, place } of run.blocks.ticks(every > 2 ? Math.ceil(every / 5) * 5 : every, (right - left) / count)) {
      const x = left + (place + 0.5) * ((right - left) / count);
      surface.text(String(label), x, surface.height - 9, { align: "center", colour: "soft" });
      surface.line([[x, this.rows[1].bottom], [x, this.rows[1].bottom + 4]], ink("soft"), { width: 1 });
    }
    surface.text(run.blocks.symbol || run.blocks.axis, 4, surface.height - 9, { colour: "soft" });
  }

  hatched(x, y, width, height, colour) {
    const { surface } = this;
    const { context } = surface;
    surface.box(x, y, width, height, colour);
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    for (let at = -height; at < width; at += 4) surface.line([[x + at, y + height], [x + at + height, y]], colour, { width: 1 });
    context.restore();
  }

  pick(x, y) {
    const row = this.rows.find(({ top, bottom }) => y >= top - 16 && y <= bottom + 8);
    if (!row) return null;
    const power = this.run.at(`${row.what}_power`, this.stop);
    const i = Math.floor(((x - row.left) / (row.right - row.left)) * power.length);
    if (i < 0 || i >= power.length) return null;
    const label = this.run.blocks.labels[i];
    const words = `${this.run.inWords(label)}: ${percent(power[i], 2)} of the ${row.what}'s power`;
    return { words, block: label };
  }
}
