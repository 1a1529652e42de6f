// Attention from '=' for every pair, head by head.
"use strict";

const CONSTANT_WITHIN = 0.01; // of the attention

class Attention {
  /**
   * @param {HTMLElement} element
   * @param {RunData} run
   * @param {State} state
   * @param {Tip} tip
   */
  constructor(element, run, state, tip) {
    this.run = run;
    this.state = state;
    this.needs = ["epoch", "head", "a", "b", "hovered", "pinned"];
    this.surface = new Surface(element, () => this.inWords(), () => this.paint());
    answering(this.surface, tip, state, (x, y) => this.pick(x, y), () => this.items());
  }

  items() {
    return this.cells().map(({ head, x, y }) => ({ words: `head ${head}: ${this.spread(head)}`, choose: () => this.state.set({ head }), x, y }));
  }

  // Over which shares the attention of a head to the first operand goes.
  spread(head) {
    const pattern = this.pattern(head, 0);
    const [least, most] = [pattern.reduce((a, b) => Math.min(a, b)), pattern.reduce((a, b) => Math.max(a, b))];
    return `${percent(least)} to ${percent(most)} of its attention goes to a`;
  }

  draw() {
    this.surface.redraw();
  }

  inWords() {
    return `Attention of each head to the first operand, for every pair, at epoch ${epochInWords(this.run.stops[this.stop])}`;
  }

  get stop() {
    return this.run.stopAt(this.state.get("epoch"));
  }

  get heads() {
    return this.run.arrays.get("attention_score").shape[0];
  }

  // The attention of a head to a source (0: a, 1: b, 2: =) for every pair, [a, b] in row-major order.
  pattern(head, source) {
    const { n } = this.run.task;
    const scores = this.run.at("attention_score", this.stop).subarray(head * 3 * n, (head + 1) * 3 * n);
    const largest = scores.reduce((most, score) => Math.max(most, score), -Infinity);
    const weights = scores.map((score) => Math.exp(score - largest));
    const map = new Float32Array(n * n);
    for (let a = 0; a < n; a++) {
      for (let b = 0; b < n; b++) {
        const three = [weights[a], weights[n + b], weights[2 * n]];
        map[a * n + b] = three[source] / (three[0] + three[1] + three[2]);
      }
    }
    return map;
  }

  // How much of the variance of a head's score of the first operand, over tokens, lies in a block.
  shareIn(head, label) {
    const { blocks } = this.run;
    const { n } = this.run.task;
    const scores = this.run.at("attention_score", this.stop).subarray(head * 3 * n, (head * 3 + 1) * n);
    const mean = scores.reduce((sum, score) => sum + score, 0) / n;
    const centred = scores.map((score) => score - mean);
    const power = (values) => values.reduce((sum, value) => sum + value ** 2, 0);
    return power(blocks.along(label, centred, "first")) / power(centred);
  }

  // Whether a head attends alike whatever the pair is, to a percentage point: of what its scores are made then says nothing.
  isConstant(head) {
    const pattern = this.pattern(head, 0);
    return pattern.reduce((a, b) => Math.max(a, b)) - pattern.reduce((a, b) => Math.min(a, b)) < CONSTANT_WITHIN;
  }

  cells() {
    const { width, height } = this.surface;
    const { heads } = this;
    let best = { size: 0 };
    for (let columns = 1; columns <= heads; columns++) {
      const rows = Math.ceil(heads / columns);
      const size = Math.min((width - 76) / columns - 8, (height - 16) / rows - 20);
      if (size > best.size) best = { size, columns, rows };
    }
    const top = Math.max(0, (height - 16 - best.rows * (best.size + 20)) / 2);
    const left = 26 + Math.max(0, (width - 76 - best.columns * (best.size + 8)) / 2);
    return Array.from({ length: heads }, (_, head) => ({
      head,
      x: left + (head % best.columns) * (best.size + 8),
      y: top + Math.floor(head / best.columns) * (best.size + 20) + 18,
      size: best.size,
      first: head % best.columns === 0,
    }));
  }

  paint() {
    const { surface, run, state } = this;
    const { n } = run.task;
    const cells = this.cells();
    for (const { head, x, y, size, first } of cells) {
      const chosen = state.get("head") === head;
      surface.map(this.pattern(head, 0), n, n, { x, y, width: size, height: size, low: 0, high: 1 });
      const off = state.block;
      if (off === null || !run.blocks || run.blocks.place(off) < 0) {
        surface.text(`head ${head}`, x + size / 2, y - 9, { align: "center", colour: chosen ? "ink" : "soft", bold: chosen });
      } else {
        surface.named(`${head}: ${this.isConstant(head) ? "constant" : `${percent(this.shareIn(head, off), 0)} ${run.blocks.at} ${run.blocks.symbol}`}`, x + size / 2 + 5, y - 9, run.colour(off), { bold: chosen });
      }
      if (chosen) surface.box(x - 1.5, y - 1.5, size + 3, size + 3, ink("accent"), { line: 3 });
      if (first) surface.text("a ↓", x - 24, y + size / 2, { colour: "soft" });
      if (Math.max(state.get("a"), state.get("b")) >= n) continue; // of another run, with more tokens
      const [crossX, crossY] = [x + ((state.get("b") + 0.5) / n) * size, y + ((state.get("a") + 0.5) / n) * size];
      surface.box(crossX - 4, crossY - 4, 8, 8, "#ffffff", { line: 1.5 });
    }
    const lowest = cells[cells.length - 1];
    surface.text("b →", cells[0].x + cells[0].size / 2, lowest.y + lowest.size + 9, { align: "center", colour: "soft" });
    const last = cells.reduce((right, cell) => Math.max(right, cell.x + cell.size), 0);
    surface.scale(last + 8, cells[0].y, cells[0].size, 0, 1, "sequential", (share) => percent(share, 0));
  }

  pick(x, y) {
    const cell = this.cells().find((c) => x >= c.x && x < c.x + c.size && y >= c.y && y < c.y + c.size);
    if (!cell) return null;
    const { n, elements } = this.run.task;
    const [a, b] = [Math.floor(((y - cell.y) / cell.size) * n), Math.floor(((x - cell.x) / cell.size) * n)];
    const share = this.pattern(cell.head, 0)[a * n + b];
    const words = `head ${cell.head}, a = ${elements[a]}, b = ${elements[b]}: ${percent(share)} of the attention goes to a`;
    return { words, choose: () => this.state.set({ head: cell.head, a, b }) };
  }
}
