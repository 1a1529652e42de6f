// Whether the key blocks are used at the cursor's epoch: as measured, or as the network in the page answers; what is superposed.
"use strict";

const MOST_PAIRS = 1000;
const MOST_CONTROLS = 19; // so that one that is above all of them is so by chance in one of twenty
const REST_BEFORE_ASKING = 250;
const LEAST_LOSS = 1e-12;

class Used {
  /**
   * @param {HTMLElement} element
   * @param {RunData} run
   * @param {Experiment | null} experiment
   * @param {State} state
   * @param {Tip} tip
   */
  constructor(element, run, experiment, state, tip) {
    this.figure = element.closest("figure");
    this.run = run;
    this.experiment = experiment;
    this.state = state;
    this.needs = ["epoch", "hovered", "pinned"];
    this.asking = new Asking();
    this.timer = /** @type {number | undefined} */ (undefined);
    this.found = new Map(); // by stop, what the page's network answered
    this.shown = null;
    this.surface = new Surface(element, () => this.figure.querySelector("h3").textContent, () => this.paint());
    answering(this.surface, tip, state, (x, y) => this.pick(y), () => this.items());
    this.asked = this.sample();
  }

  get stop() {
    return this.run.stopAt(this.state.get("epoch"));
  }

  // The pairs that are asked: of the last group, which are those not seen in training, at most so many, evenly chosen.
  sample() {
    const { n, answers } = this.run.task;
    const groups = this.run.groups;
    const last = groups ? groups.names.length - 1 : 0;
    const pairs = Array.from({ length: n * n }, (_, pair) => pair).filter((pair) => !groups || groups.ofPair[pair] === last);
    const count = Math.min(MOST_PAIRS, pairs.length);
    const chosen = Array.from({ length: count }, (_, i) => pairs[Math.floor((i * pairs.length) / count)]);
    const isAsked = new Uint8Array(n * n).fill(1);
    for (const pair of chosen) isAsked[pair] = 0;
    this.pairsInWords = `${epochInWords(count)} ${count < pairs.length ? `of ${epochInWords(pairs.length)} ` : ""}${groups ? groups.names[last] : "pair"}s`;
    return { answers: Int32Array.from(answers), groups: isAsked, count: 1 };
  }

  draw() {
    const { stop } = this;
    const known = this.measured(stop) ?? this.found.get(stop);
    clearTimeout(this.timer);
    if (known) {
      this.asking.stop();
      this.shown = known;
    } else if (this.experiment) {
      this.asking.stop();
      this.timer = window.setTimeout(() => this.ask(stop), REST_BEFORE_ASKING);
    }
    this.say();
    this.surface.redraw();
  }

  // What was measured at a stop, with all unseen pairs and controls; null where nothing was.
  measured(stop) {
    const tried = this.run.tried.get(this.run.stops[stop]);
    if (!tried) return null;
    const finite = (x) => x ?? NaN;
    return {
      stop,
      plain: finite(tried.plain),
      rows: this.run.keys.labels.map((label, i) => ({
        label, loss: finite(tried.without[i]), accuracy: finite(tried.accuracies[i]), low: finite(tried.low[i]), high: finite(tried.high[i]),
      })),
      alone: { loss: finite(tried.aloneLoss), accuracy: finite(tried.aloneAccuracy) },
      said: "measured on all unseen pairs; grey: 5 to 95% of others",
    };
  }

  // Ask the page's network: without each key, as it is, the keys alone, and without others; shown as the answers come.
  ask(stop) {
    const { blocks, keys } = this.run;
    const places = keys.labels.map((label) => blocks.place(label));
    const sizes = [...new Set(places.map((place) => blocks.rows[place].length))];
    const others = sizes.flatMap((size) => evenly(this.experiment.others(places.find((place) => blocks.rows[place].length === size)), MOST_CONTROLS));
    const notKey = blocks.labels.map((_, place) => place).filter((place) => !places.includes(place));
    const removed = [[], ...places.map((place) => [place]), notKey, ...others.map((place) => [place])];
    const outcomes = [];
    this.asking.ask(
      removed.map((some) => () => this.experiment.without(stop, { blocks: some, heads: [], neurons: [] })),
      this.asked,
      ({ right, losses, totals }) => {
        outcomes.push({ loss: losses[0] / totals[0], accuracy: right[0] / totals[0] });
        if (outcomes.length < places.length + 2) return;
        const shown = this.of(stop, places, others, outcomes);
        if (outcomes.length === removed.length) this.found.set(stop, shown);
        if (stop !== this.stop) return;
        this.shown = shown;
        this.say();
        this.surface.redraw();
      },
      (reason) => {
        this.figure.querySelector("figcaption").textContent = `Not asked at this epoch: ${reason}.`;
      },
    );
  }

  of(stop, places, others, answers) {
    const [plain, ...outcomes] = answers;
    const { blocks } = this.run;
    const controls = others.map((place, i) => ({ size: blocks.rows[place].length, loss: outcomes[places.length + 1 + i]?.loss ?? NaN }));
    const rows = places.map((place, i) => {
      const own = controls.filter(({ size, loss }) => size === blocks.rows[place].length && Number.isFinite(loss)).map(({ loss }) => loss);
      const ends = own.length ? [Math.min(...own), Math.max(...own)] : [NaN, NaN];
      return { label: blocks.labels[place], ...outcomes[i], low: ends[0], high: ends[1] };
    });
    const said = `asked here, on ${this.pairsInWords}; grey: ${controls.length === 1 ? "the only other" : `${controls.length} others`} of its size`;
    return { stop, plain: plain.loss, rows, alone: outcomes[places.length], said };
  }

  say() {
    const { shown } = this;
    const { blocks } = this.run;
    if (!shown) {
      this.figure.querySelector("h3").textContent = "Is it used?";
      return;
    }
    const needed = shown.rows.filter(({ loss, high }) => loss > high).length;
    const unknown = shown.rows.filter(({ loss, high }) => !Number.isFinite(loss) || !Number.isFinite(high)).length;
    const of = shown.rows.length - unknown;
    const without = unknown ? `, ${unknown} ${unknown === 1 ? "has" : "have"} no control` : "";
    const which = of ? `${needed} of ${shown.rows.length} key ${blocks.plural} ${needed === 1 ? "is" : "are"} needed${without}` : `what is needed has no control`;
    const alone = Number.isFinite(shown.alone.accuracy) ? `; alone they leave ${percent(shown.alone.accuracy)} right` : "";
    this.figure.querySelector("h3").textContent = `Is it used? ${this.run.stops.length > 1 ? `At epoch ${epochInWords(this.run.stops[shown.stop])} ` : ""}${which}${alone}`;
  }

  get frame() {
    const { width, height, context } = this.surface;
    context.font = "600 12px system-ui, sans-serif";
    const names = ["keys alone", ...(this.shown?.rows ?? []).map(({ label }) => `without ${label}`)];
    const left = Math.min(width / 2, Math.max(...names.map((name) => context.measureText(name).width)) + 14);
    return { left, right: width - 62, top: 18, bottom: height - 18 };
  }

  paint() {
    const { surface, shown, run, state } = this;
    if (!shown) {
      surface.text("asked where the cursor rests ...", 4, 9, { colour: "soft" });
      return;
    }
    const { left, right, top, bottom } = this.frame;
    surface.context.globalAlpha = shown.stop === this.stop ? 1 : 0.4; // of another epoch, until this one has answered
    const all = [shown.plain, shown.alone.loss, ...shown.rows.flatMap(({ loss, low, high }) => [loss, low, high])].filter(Number.isFinite);
    const powers = [Math.min(...all), Math.max(...all)].map((loss) => Math.log10(Math.max(LEAST_LOSS, loss)));
    const [low, high] = [Math.floor(powers[0]), Math.max(Math.floor(powers[0]) + 1, Math.ceil(powers[1]))];
    const x = (loss) => left + ((Math.log10(Math.max(LEAST_LOSS, loss)) - low) / (high - low)) * (right - left);
    surface.text(shown.said, 0, 7, { colour: "soft" });
    const every = Math.ceil((high - low) / 5);
    for (let power = low; power <= high; power += every) {
      surface.line([[x(10 ** power), top], [x(10 ** power), bottom]], ink("edge"), { width: 1 });
      surface.text(`1e${power}`, x(10 ** power), surface.height - 8, { align: "center", colour: "soft" });
    }
    surface.line([[x(shown.plain), top], [x(shown.plain), bottom]], ink("ink"), { width: 1.2, dash: [2, 3] });
    const room = (bottom - top) / (shown.rows.length + 1);
    const dot = (loss, accuracy, y, colour) => {
      surface.context.beginPath();
      surface.context.arc(x(loss), y, 5, 0, 7);
      surface.context.fillStyle = colour;
      surface.context.fill();
      surface.text(percent(accuracy), right + 8, y, { colour: "soft" });
    };
    shown.rows.forEach(({ label, loss, accuracy, low: from, high: to }, i) => {
      const y = top + (i + 0.5) * room;
      surface.text(`without ${label}`, left - 8, y, { align: "right", bold: state.block === label });
      if (Number.isFinite(from)) surface.box(x(from) - 2, y - 4, Math.max(4, x(to) - x(from) + 4), 8, ink("neutral"), { fill: true });
      if (Number.isFinite(loss)) dot(loss, accuracy, y, run.colour(label));
    });
    const y = bottom - room / 2;
    surface.text("keys alone", left - 8, y, { align: "right" });
    if (Number.isFinite(shown.alone.loss)) dot(shown.alone.loss, shown.alone.accuracy, y, ink("ink"));
    surface.context.globalAlpha = 1;
  }

  pick(y) {
    if (!this.shown) return null;
    const { top, bottom } = this.frame;
    return this.items()[Math.floor(((y - top) / (bottom - top)) * (this.shown.rows.length + 1))] ?? null;
  }

  items() {
    const { left, top, bottom } = this.frame;
    const rows = this.shown?.rows ?? [];
    return rows.map((row, i) => ({ ...this.itemOf(row), x: left, y: top + ((i + 1) * (bottom - top)) / (rows.length + 1) }));
  }

  itemOf(row) {
    const controls = Number.isFinite(row.high) ? `, without others ${inWords(row.low)} to ${inWords(row.high)}` : ", and there is no other of its size";
    const words = `without ${this.run.inWords(row.label)}: ${inWords(row.loss)} nats, ${percent(row.accuracy)} right${controls}; as it is ${inWords(this.shown.plain)}`;
    return { words, block: row.label };
  }

  end() {
    clearTimeout(this.timer);
    this.asking.stop();
  }
}

// So many of a list, evenly chosen.
function evenly(list, most) {
  if (list.length <= most) return list;
  return Array.from({ length: most }, (_, i) => list[Math.floor((i * list.length) / most)]);
}

// What shares what: the table of the cursor's epoch, and its sentence.
class Superposed {
  /**
   * @param {HTMLElement} figure
   * @param {RunData} run
   * @param {State} state
   */
  constructor(figure, run, state) {
    this.figure = figure;
    this.run = run;
    this.state = state;
    this.needs = ["epoch"];
    const { heads, names } = run.superposed;
    const table = figure.querySelector("table");
    const head = table.createTHead().insertRow();
    for (const text of heads) {
      const cell = document.createElement(text ? "th" : "td");
      cell.textContent = text;
      if (text) cell.setAttribute("scope", "col");
      head.append(cell);
    }
    const body = table.createTBody();
    this.cells = names.map((name) => {
      const row = body.insertRow();
      const first = document.createElement("th");
      first.scope = "row";
      first.textContent = name;
      row.append(first);
      return heads.slice(1).map(() => row.insertCell());
    });
  }

  draw() {
    const stop = this.run.stopAt(this.state.get("epoch"));
    const { rows, headings, verdicts } = this.run.superposed;
    this.figure.querySelector("h3").textContent = headings[stop];
    this.figure.querySelector("h3").title = verdicts[stop];
    rows[stop].forEach((cells, basis) => cells.forEach((text, i) => (this.cells[basis][i].textContent = text)));
  }
}
