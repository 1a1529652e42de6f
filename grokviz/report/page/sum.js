// One worked sum: a pair of the reader's choice, traced through the network at the epoch of the cursor.
"use strict";

const MOST_NEURONS = 48;
const BEST_ANSWERS = 5;
const FARTHEST = 1.25; // from the centre of a circle, in radii, that a dot is drawn

class WorkedSum {
  /**
   * @param {HTMLElement} section
   * @param {RunData} run
   * @param {Network} network
   * @param {Experiment} experiment
   * @param {State} state
   * @param {Tip} tip
   */
  constructor(section, run, network, experiment, state, tip) {
    this.section = section;
    this.run = run;
    this.network = network;
    this.experiment = experiment;
    this.state = state;
    this.needs = ["epoch", "a", "b", "hovered", "pinned", "off"];
    const canvas = (name, label, draw) =>
      new Surface(section.querySelector(`[data-step=${name}]`), () => label, () => this.traced && draw());
    this.surfaces = {
      fires: canvas("fires", "The neurons that fire most", () => this.paintNeurons()),
      adds: canvas("adds", "The cosines that add up to the logits", () => this.paintLogits()),
    };
    if (section.querySelector("[data-step=attends]")) this.surfaces.attends = canvas("attends", "What each head attends to", () => this.paintAttention());
    if (section.querySelector("[data-step=lies]")) this.surfaces.lies = canvas("lies", "Where the operands lie on the circles", () => this.paintCircles());
    answering(this.surfaces.fires, tip, state, (x) => this.pickNeuron(x), () => this.neuronItems());
    this.listen();
  }

  get stop() {
    return this.run.stopAt(this.state.get("epoch"));
  }

  listen() {
    for (const operand of ["a", "b"]) {
      const input = fieldOf(`operand-${operand}`);
      input.addEventListener("input", () => {
        const { elements, n } = this.run.task;
        const token = elements.findIndex((element) => String(element) === input.value.trim());
        const known = token >= 0;
        input.setAttribute("aria-invalid", String(!known));
        const wanted = typeof elements[0] === "number" ? `a whole number from ${elements[0]} to ${elements[n - 1]}` : `an element such as ${elements[1]}`;
        this.section.querySelector("#operand-error").textContent = known ? "" : `${operand} must be ${wanted}`;
        if (known) this.state.set({ [operand]: token });
      });
    }
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (this.section.querySelectorAll("[data-group]"))) {
      button.addEventListener("click", () => this.another(Number(button.dataset.group)));
    }
  }

  // Another pair of a group, by chance.
  another(group) {
    const { n } = this.run.task;
    const pairs = Array.from({ length: n * n }, (_, pair) => pair).filter((pair) => this.run.groups.ofPair[pair] === group);
    const pair = pairs[Math.floor(Math.random() * pairs.length)];
    this.state.set({ a: Math.floor(pair / n), b: pair % n });
  }

  draw() {
    const [a, b] = [this.state.get("a"), this.state.get("b")];
    const { run } = this;
    this.changes = this.experiment.changes(this.stop);
    this.traced = this.experiment.at(this.stop).forward(a, b);
    for (const [operand, token] of [["a", a], ["b", b]]) {
      const input = fieldOf(`operand-${operand}`);
      if (document.activeElement !== input) input.value = String(run.task.elements[token]);
    }
    const right = run.task.answers[a * run.task.n + b];
    const probabilities = softmax(this.traced.logits);
    const order = probabilities.map((_, c) => c).sort((one, other) => probabilities[other] - probabilities[one]);
    this.section.querySelector("#asked").textContent = `${run.task.asked} = ${run.task.elements[right]}`;
    this.section.querySelector("#group").textContent = run.groups ? run.groups.names[run.groups.ofPair[a * run.task.n + b]] : "";
    this.section.querySelector("#verdict").textContent = this.verdict(order[0], right, probabilities);
    this.paintAnswers(order.slice(0, BEST_ANSWERS), right, probabilities);
    Object.values(this.surfaces).forEach((surface) => surface.redraw());
  }

  answerInWords(c) {
    return c < this.run.task.n ? String(this.run.task.elements[c]) : "=";
  }

  verdict(best, right, probabilities) {
    const off = this.changes.said.length ? `with ${this.changes.said.join(", ")}` : "";
    const epoch = this.run.stops.length > 1 ? `at epoch ${epochInWords(this.run.stops[this.stop])}` : "";
    const where = [epoch, off].filter(Boolean).join(", ") + (off ? ", the" : epoch ? " the" : "the");
    const said = `${where[0].toUpperCase()}${where.slice(1)} network answers ${this.answerInWords(best)} with ${percent(probabilities[best])}`;
    if (best === right) return `${said}: right.`;
    return `${said}: wrong. The right answer ${this.answerInWords(right)} has ${percent(probabilities[right], 2)}.`;
  }

  paintAnswers(best, right, probabilities) {
    const rows = (best.includes(right) ? best : [...best.slice(0, -1), right]).map((c) => {
      const row = document.createElement("li");
      const bar = document.createElement("span");
      bar.className = c === right ? "bar right" : "bar";
      bar.style.width = `${(100 * probabilities[c]).toFixed(2)}%`;
      const words = document.createElement("span");
      words.textContent = `${this.answerInWords(c)}${c === right ? " (right)" : ""}: ${percent(probabilities[c])}`;
      row.append(bar, words);
      return row;
    });
    this.section.querySelector("#answers").replaceChildren(...rows);
  }

  // In the plane of each key block: where the network has the operands, on a circle of the median token's radius; and where its
  // logits point, the further out the more of them that block's waves are. A ring marks the right answer. A dashed circle is out of
  // W_E, and so are a and b. Of operands with
  // embeddings of their own the plane is a's, and b lies, hollow, where it would on an even circle.
  paintCircles() {
    const { run, state } = this;
    const surface = this.surfaces.lies;
    const { blocks } = run;
    const { n } = run.task;
    const keys = run.keys.labels;
    const [a, b] = [state.get("a"), state.get("b")];
    const right = run.task.answers[a * n + b];
    const sizeWith = (columns) => Math.min(surface.width / columns, surface.height / Math.ceil(keys.length / columns));
    const columns = keys.map((_, i) => i + 1).reduce((best, count) => (sizeWith(count) > sizeWith(best) ? count : best));
    const size = sizeWith(columns);
    const even = (k, token, where) => {
      const angle = 2 * Math.PI * blocks.turn(k, token, where);
      return [Math.cos(angle), Math.sin(angle)];
    };
    keys.forEach((k, i) => {
      const [x, y] = [((i % columns) + 0.5) * size, (Math.floor(i / columns) + 0.5) * size + 8];
      const radius = size / 2 - 18;
      /** @type {(name: string, place: number[], colour: string, isHollow: boolean) => void} */
      const dot = (name, [dx, dy], colour, isHollow) => {
        const far = Math.max(1, Math.hypot(dx, dy) / FARTHEST);
        const [dotX, dotY] = [x + (radius * dx) / far, y - (radius * dy) / far];
        surface.context.beginPath();
        surface.context.arc(dotX, dotY, 4, 0, 7);
        surface.context.fillStyle = surface.context.strokeStyle = ink(colour);
        if (isHollow) surface.context.stroke();
        else surface.context.fill();
        surface.text(name, dotX + 9, dotY - 6, { colour: colour === "accent" ? "accent" : "ink" });
      };
      const isOut = this.changes.blocks.includes(blocks.place(k));
      surface.context.lineWidth = state.block === k ? 3 : 1.2;
      surface.context.strokeStyle = run.colour(k);
      surface.context.setLineDash(isOut ? [3, 4] : []);
      surface.context.beginPath();
      surface.context.arc(x, y, radius, 0, 7);
      surface.context.stroke();
      surface.context.setLineDash([]);
      surface.context.lineWidth = 1.2;
      surface.named(blocks.short(k), x, y - radius - 9, run.colour(k));
      dot("", even(k, right, "answer"), "accent", true);
      if (!isOut) {
        dot("a", this.ownPlace(k, a), "ink", false);
        if (this.network.sizes.operandTables > 1) dot("b", even(k, b, "second"), "ink", true);
        else dot("b", this.ownPlace(k, b), "ink", false);
      }
      dot("=", this.pointed(k), "accent", false);
    });
  }

  // Where a token lies in the plane of a block, in units of the median token's distance from the centre.
  ownPlace(k, token) {
    const { run } = this;
    const plane = run.at("token_plane", this.stop);
    const start = 2 * run.task.n * run.blocks.place(k);
    const at = (t) => [plane[start + 2 * t], plane[start + 2 * t + 1]];
    const unit = median(Array.from({ length: run.task.n }, (_, t) => Math.hypot(...at(t)))) || 1;
    return at(token).map((place) => place / unit);
  }

  // Where the logits of this sum point in the waves of a block: on the circle where its share of them is that of one of the keys.
  pointed(k) {
    const { run } = this;
    const { n } = run.task;
    const logits = this.traced.logits.subarray(0, n);
    const mean = logits.reduce((sum, x) => sum + x, 0) / n;
    const norm = Math.hypot(...logits.map((x) => x - mean)) || 1;
    const along = run.blocks.rowsOf(k).map((row) =>
      logits.reduce((sum, x, c) => sum + run.blocks.basis.answer[row * n + c] * (x - mean), 0));
    return [0, 1].map((i) => ((along[i] ?? 0) / norm) * Math.sqrt(run.keys.labels.length));
  }

  paintAttention() {
    const surface = this.surfaces.attends;
    const { pattern } = this.traced;
    const room = surface.height / pattern.length;
    const colours = [ink("operand-a"), ink("operand-b"), ink("neutral")];
    pattern.forEach((shares, head) => {
      const y = head * room + 3;
      const height = Math.min(26, room - 6);
      surface.text(String(head), 4, y + height / 2, { colour: "soft" });
      let x = 18;
      shares.forEach((share, source) => {
        const width = share * (surface.width - 20);
        surface.box(x, y, width, height, colours[source], { fill: true });
        if (width > 34) surface.text(`${SOURCES[source]} ${percent(share, 0)}`, x + width / 2, y + height / 2, { align: "center", colour: "#ffffff" });
        x += width;
      });
    });
  }

  strongest() {
    const { activations } = this.traced;
    const order = Array.from(activations, (_, i) => i).sort((one, other) => activations[other] - activations[one]);
    return order.slice(0, MOST_NEURONS).filter((neuron) => activations[neuron] > 0);
  }

  paintNeurons() {
    const surface = this.surfaces.fires;
    const { activations } = this.traced;
    const shown = this.strongest();
    const numbers = this.run.has("neuron_frequency") ? this.run.at("neuron_frequency", this.stop) : null;
    const most = shown.length ? activations[shown[0]] : 1;
    const slot = surface.width / MOST_NEURONS;
    shown.forEach((neuron, i) => {
      const height = (activations[neuron] / most) * (surface.height - 22);
      const k = numbers ? this.run.labelOf(numbers[neuron]) : null;
      const faint = this.state.block !== null && this.state.block !== k;
      surface.context.globalAlpha = faint ? 0.25 : 1;
      surface.box(i * slot, surface.height - height, slot * 0.8, height, this.run.colour(k) ?? ink("neutral"), { fill: true });
      surface.context.globalAlpha = 1;
    });
    const firing = activations.filter((x) => x > 0).length;
    surface.text(`${firing} of ${activations.length} fire; the strongest ${shown.length}`, 0, 9, { colour: "soft" });
  }

  pickNeuron(x) {
    return this.neuronItems()[Math.floor(x / (this.surfaces.fires.width / MOST_NEURONS))] ?? null;
  }

  neuronItems() {
    const slot = this.surfaces.fires.width / MOST_NEURONS;
    return this.strongest().map((neuron, i) => ({ ...this.neuronItem(neuron), x: i * slot, y: this.surfaces.fires.height }));
  }

  neuronItem(neuron) {
    const words = `neuron ${neuron}: activation ${inWords(this.traced.activations[neuron])}`;
    const number = this.run.has("neuron_frequency") ? this.run.at("neuron_frequency", this.stop)[neuron] : NaN;
    return { words, block: this.run.labelOf(number), choose: () => this.state.set({ neuron }) };
  }

  // The logits over the answers in the order of the circle, and the part of each key block in them.
  paintLogits() {
    const { run, state } = this;
    const surface = this.surfaces.adds;
    const { n } = run.task;
    const logits = this.traced.logits.subarray(0, n);
    const mean = logits.reduce((sum, x) => sum + x, 0) / n;
    const centred = logits.map((x) => x - mean);
    const { order } = run.task;
    const most = centred.reduce((largest, x) => Math.max(largest, Math.abs(x)), 1e-9);
    const x = (place) => 4 + (place / (n - 1)) * (surface.width - 8);
    const y = (value) => surface.height / 2 - (value / most) * (surface.height / 2 - 16);
    const right = run.task.answers[state.get("a") * n + state.get("b")];
    const at = x(order.indexOf(right));
    surface.line([[at, 14], [at, surface.height]], ink("accent"), { width: 1, dash: [3, 3] });
    surface.text(`answer ${run.task.elements[right]}`, Math.max(30, Math.min(surface.width - 34, at)), 7, { align: "center", colour: "accent" });
    surface.line(order.map((c, place) => [x(place), y(centred[c])]), ink("ink"), { width: 2 });
    for (const k of run.keys.labels) {
      const wave = run.blocks.along(k, centred, "answer");
      const off = state.block === k;
      surface.line(order.map((c, place) => [x(place), y(wave[c])]), run.colour(k), { width: off ? 2.5 : 1 });
    }
  }
}
