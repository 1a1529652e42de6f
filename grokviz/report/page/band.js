// The band on top: losses and accuracies over all of training. It is the slider: click, drag, keys, play.
"use strict";

const SPEEDS = [1, 2, 4];
const STOPS_A_SECOND = 8;

class Band {
  // The stops are those of `clock`; a single run is its own.
  /**
   * @param {HTMLElement} element
   * @param {RunData | Clock} clock
   * @param {RunData[]} runs
   * @param {State} state
   */
  constructor(element, clock, runs, state) {
    this.clock = clock;
    this.runs = runs;
    this.state = state;
    this.needs = ["epoch", "axis"];
    this.surface = new Surface(element, () => "Losses and accuracies over training", () => this.paint());
    this.element = element;
    this.timer = null;
    this.speed = 1;
    this.wordsUntil = Infinity;
    this.onPlaying = /** @type {((playing: boolean) => void) | null} */ (null);
    element.setAttribute("role", "slider");
    element.setAttribute("tabindex", "0");
    element.setAttribute("aria-label", "Epoch");
    element.setAttribute("aria-valuemin", "0");
    this.surface.canvas.setAttribute("role", "presentation");
    this.surface.canvas.removeAttribute("aria-label");
    this.surface.label = () => "";
    this.listen();
  }

  get stops() {
    return this.clock.stops;
  }

  get stop() {
    return this.clock.stopAt(this.state.get("epoch"));
  }

  get last() {
    return Math.max(...this.runs.map((run) => run.band.lastEpoch), 1);
  }

  go(stop) {
    const bounded = Math.max(0, Math.min(this.stops.length - 1, stop));
    this.state.set({ epoch: this.stops[bounded] });
  }

  listen() {
    const { element } = this;
    const follow = (event) => {
      const x = event.clientX - element.getBoundingClientRect().left;
      this.go(this.clock.stopAt(this.epochAt(x)));
    };
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      this.pause();
      follow(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) follow(event);
    });
    element.addEventListener("keydown", (event) => {
      const far = Math.max(1, Math.round(this.stops.length / 10));
      const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -far, PageUp: far };
      if (event.key in steps) this.go(this.stop + steps[event.key]);
      else if (event.key === "Home") this.go(0);
      else if (event.key === "End") this.go(this.stops.length - 1);
      else if (event.key === " ") this.playOrPause();
      else return;
      event.preventDefault();
    });
  }

  // The axis of epochs: linear, or logarithmic with room for epoch 0.
  share(epoch) {
    if (this.state.get("axis") === "log") return Math.log1p(epoch) / Math.log1p(this.last);
    return epoch / this.last;
  }

  get frame() {
    const { width, height } = this.surface;
    return { left: 52, right: width - 12, top: 16, middle: Math.round(height * 0.56), bottom: height - 20 };
  }

  x(epoch) {
    const { left, right } = this.frame;
    return left + this.share(epoch) * (right - left);
  }

  epochAt(x) {
    const { left, right } = this.frame;
    const share = Math.max(0, Math.min(1, (x - left) / (right - left)));
    return this.state.get("axis") === "log" ? Math.expm1(share * Math.log1p(this.last)) : share * this.last;
  }

  playOrPause() {
    if (this.timer) this.pause();
    else {
      if (this.stop === this.stops.length - 1) this.go(0);
      this.timer = setInterval(() => this.step(), 1000 / STOPS_A_SECOND / SPEEDS[this.speed - 1]);
      this.onPlaying?.(true);
    }
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.onPlaying?.(false);
  }

  step() {
    if (this.stop >= this.stops.length - 1) this.pause();
    else this.go(this.stop + 1);
  }

  setSpeed(speed) {
    this.speed = speed;
    if (!this.timer) return;
    this.pause();
    this.playOrPause();
  }

  draw() {
    const { stop, stops } = this;
    this.element.setAttribute("aria-valuemax", String(stops.length - 1));
    this.element.setAttribute("aria-valuenow", String(stop));
    this.element.setAttribute("aria-valuetext", `epoch ${epochInWords(stops[stop])}. ${this.clock.readings[stop]}`);
    this.surface.redraw();
  }

  paint() {
    const { surface, frame, runs } = this;
    const { left, right, top, middle, bottom } = frame;
    if (runs.length === 1 && surface.width > 600) this.paintLegend();
    for (const phase of runs.length === 1 ? runs[0].band.phases : []) {
      const [from, to] = [this.x(phase.start), this.x(phase.end)];
      surface.box(from, top, to - from, bottom - top, phase.colour, { fill: true });
      const words = phase.name.replace("_", " ");
      if (surface.context.measureText(words).width < Math.min(to, this.wordsUntil) - from - 8) surface.text(words, from + 5, top - 9, { colour: "soft" });
    }
    const ends = this.lossEnds();
    const lossY = (loss) => top + ((ends[1] - Math.log10(loss)) / (ends[1] - ends[0])) * (middle - 8 - top);
    const accuracyY = (accuracy) => bottom - accuracy * (bottom - middle - 4);
    for (let power = Math.ceil(ends[0]); power <= ends[1]; power += Math.ceil((ends[1] - ends[0]) / Math.max(1, Math.min(3, Math.floor((middle - 8 - top) / 14))))) {
      surface.text(`1e${power}`, left - 6, lossY(10 ** power), { align: "right", colour: "soft" });
    }
    for (const share of [0, 1]) surface.text(percent(share, 0), left - 6, accuracyY(share), { align: "right", colour: "soft" });
    surface.line([[left, middle - 2], [right, middle - 2]], ink("edge"), { width: 1 });
    runs.forEach((run, i) => this.paintRun(run, i, lossY, accuracyY));
    for (const epoch of this.ticks()) {
      const half = surface.context.measureText(epochInWords(epoch)).width / 2;
      const x = Math.min(this.x(epoch), surface.width - half - 1);
      surface.text(epochInWords(epoch), x, bottom + 11, { align: "center", colour: "soft" });
    }
    const cursor = this.x(this.stops[this.stop]);
    surface.line([[cursor, top], [cursor, bottom]], ink("accent"), { width: 2 });
    surface.box(cursor - 4, top - 3, 8, 8, ink("accent"), { fill: true });
  }

  paintRun(run, place, lossY, accuracyY) {
    const { surface } = this;
    const { epoch } = run.band.history;
    const along = (values, y) => Array.from(values, (value, i) => [this.x(epoch[i]), y(value)]);
    // Of imported networks accuracies are known at fewer epochs than losses.
    const known = (points) => points.filter(([, y]) => Number.isFinite(y));
    const alone = this.runs.length === 1;
    const of = (split) => onPaper(alone ? run.band.colours[split] : run.ownColour);
    if (alone) surface.line(along(run.band.history.train_loss, lossY), of("train"));
    surface.line(along(run.band.history.test_loss, lossY), of("test"));
    if (alone) surface.line(known(along(run.band.history.train_accuracy, accuracyY)), of("train"));
    surface.line(known(along(run.band.history.test_accuracy, accuracyY)), of("test"));
    for (const { split, dash } of alone ? [{ split: "test_mirrored", dash: [6, 3] }, { split: "test_unmirrored", dash: [2, 3] }] : []) {
      if (!run.band.accuracies[split]) continue;
      const points = run.band.accuracies[split].map((value, i) => [this.x(run.stops[i]), accuracyY(value ?? NaN)]);
      surface.line(points, of("test"), { width: 1.2, dash });
    }
    if (run.band.grokked !== null) {
      const { top, bottom } = this.frame;
      const x = this.x(run.band.grokked);
      surface.line([[x, top], [x, bottom]], alone ? ink("soft") : onPaper(run.ownColour), { width: 1, dash: [4, 3] });
    }
  }

  paintLegend() {
    const { surface, frame } = this;
    const { colours, accuracies } = this.runs[0].band;
    const apart = accuracies.test_mirrored ? " (dashed: mirror in train, dotted: not)" : "";
    let x = frame.right - 4;
    for (const [words, colour] of [[`test${apart}`, colours.test], ["train", colours.train]]) {
      surface.text(words, x, frame.top - 9, { align: "right", colour: onPaper(colour) });
      x -= surface.context.measureText(words).width + 12;
    }
    this.wordsUntil = x; // the names of phases end there
  }

  // Powers of ten that hold all losses.
  lossEnds() {
    let [low, high] = [Infinity, -Infinity];
    for (const run of this.runs) {
      for (const name of ["train_loss", "test_loss"]) {
        for (const loss of run.band.history[name]) {
          if (!(loss > 0) || !Number.isFinite(loss)) continue;
          low = Math.min(low, loss);
          high = Math.max(high, loss);
        }
      }
    }
    return low < high ? [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))] : [-1, 1];
  }

  ticks() {
    const room = Math.max(2, Math.floor((this.frame.right - this.frame.left) / 110));
    if (this.state.get("axis") === "log") {
      const all = [0];
      for (let epoch = 1; epoch <= this.last; epoch *= 10) all.push(epoch);
      return all;
    }
    const rough = this.last / room;
    const power = 10 ** Math.floor(Math.log10(Math.max(1, rough)));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    return Array.from({ length: Math.floor(this.last / step) + 1 }, (_, i) => i * step);
  }
}
