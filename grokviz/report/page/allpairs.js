// All pairs asked under the experiment, beside the page; and with controls off in the place of what is off.
"use strict";

const MILLISECONDS_OF_REST = 120; // after a change, before all pairs are asked

class AllPairs {
  /**
   * @param {HTMLElement} element
   * @param {RunData} run
   * @param {Experiment} experiment
   * @param {State} state
   */
  constructor(element, run, experiment, state) {
    this.element = element;
    this.run = run;
    this.experiment = experiment;
    this.state = state;
    this.needs = ["epoch", "off"];
    this.key = "";
    this.asking = new Asking();
    this.timer = /** @type {number | undefined} */ (undefined);
    this.asItIs = new Map(); // outcomes of the whole network, by stop
    const { n, answers } = run.task;
    const groups = run.groups?.ofPair ?? new Float32Array(n * n);
    this.names = run.groups?.names ?? ["pair"];
    this.asked = { answers: Int32Array.from(answers), groups: Uint8Array.from(groups), count: this.names.length };
  }

  get stopNow() {
    return this.run.stopAt(this.state.get("epoch"));
  }

  draw() {
    const stop = this.stopNow;
    const changes = this.experiment.changes(stop);
    const key = changes.said.length ? `${stop} ${JSON.stringify(changes)}` : "";
    if (key === this.key) return;
    this.key = key;
    this.stop();
    if (!key) {
      this.element.replaceChildren();
      return;
    }
    const rows = this.rows(stop, changes);
    this.show(stop, rows);
    this.timer = window.setTimeout(() => this.ask(stop, rows), MILLISECONDS_OF_REST);
  }

  // What is to be asked: the network as it is, without what is off, and with controls off in its place.
  rows(stop, changes) {
    const control = this.experiment.changes(stop, controlOf(this.key));
    return [
      { said: "as it is", changes: { blocks: [], heads: [], neurons: [] }, outcome: this.asItIs.get(stop) ?? null },
      { said: changes.said.join(", "), changes, outcome: null },
      control
        ? { said: `a control: ${control.said.join(", ")} instead`, changes: control, outcome: null }
        : { said: "a control: there is none of its size", changes: null, outcome: null },
    ];
  }

  // Ask the rows one by one: what was asked for comes first.
  ask(stop, rows) {
    const [whole, without, control] = rows;
    const waiting = [without, whole, control].filter((row) => row.changes && !row.outcome);
    this.asking.ask(
      waiting.map((row) => () => this.experiment.without(stop, row.changes)),
      this.asked,
      (outcome, at) => {
        waiting[at].outcome = outcome;
        if (whole.outcome) this.asItIs.set(stop, whole.outcome);
        this.show(stop, rows);
      },
      (reason) => {
        this.element.textContent = `All pairs cannot be asked here: ${reason}.`;
      },
    );
  }

  stop() {
    clearTimeout(this.timer);
    this.asking.stop();
  }

  end() {
    this.stop();
  }

  show(stop, rows) {
    const table = document.createElement("table");
    const heads = ["", ...this.names.map((name, group) => `${name}s (${epochInWords(this.sizeOf(group))})`)];
    const head = table.createTHead().insertRow();
    for (const text of heads) {
      const cell = document.createElement(text ? "th" : "td");
      if (text) cell.setAttribute("scope", "col");
      cell.textContent = text;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const { said, changes, outcome } of rows) {
      const row = body.insertRow();
      const name = document.createElement("th");
      name.scope = "row";
      name.textContent = said;
      row.append(name);
      this.names.forEach((_, group) => (row.insertCell().textContent = !changes ? "" : outcome ? outcomeInWords(outcome, group) : "..."));
    }
    const caption = table.createCaption();
    caption.textContent = `All pairs${this.run.stops.length > 1 ? ` at epoch ${epochInWords(this.run.stops[stop])}` : ""}: answered rightly, and mean loss in nats`;
    const frame = document.createElement("div");
    frame.className = "wide";
    frame.append(table);
    this.element.replaceChildren(frame);
  }

  sizeOf(group) {
    return this.asked.groups.reduce((count, each) => count + Number(each === group), 0);
  }
}

function outcomeInWords({ right, losses, totals }, group) {
  return `${percent(right[group] / totals[group])}, ${inWords(losses[group] / totals[group])}`;
}

// Which control stands beside what is off: any, but for the same the same.
function controlOf(text) {
  let hash = 0;
  for (const letter of text) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0;
  return hash % 1000;
}
