// The page of a run: makes the views, and keeps band, tabs, links and the URL in step with the state.
"use strict";

const EARLY = 0.03;

/**
 * Whether all that happens, happens in so small a part of the run that a linear axis would not show it.
 * @param {RunData} run
 */
function allIsEarly(run) {
  return run.band.grokked !== null && run.band.grokked <= EARLY * run.band.lastEpoch;
}

// The values that a fragment of the address asks for, as far as the run has them, at a stop of the clock; else the end of training.
function valuesOfAddress(run, clock, tabs, fragment) {
  const given = valuesOf(fragment);
  const within = (name, most) => (given[name] !== undefined && given[name] < most ? given[name] : null);
  return {
    epoch: clock.stops[given.epoch === undefined ? clock.stops.length - 1 : clock.stopAt(given.epoch)],
    tab: tabs.includes(given.tab) ? given.tab : tabs[0],
    pinned: given.pinned === undefined ? null : run.blocks?.named(given.pinned) ?? null,
    hovered: null,
    head: within("head", run.heads) ?? 0,
    neuron: within("neuron", run.neurons.count) ?? run.neurons.first,
    a: within("a", run.task.n) ?? run.task.firstPair[0],
    b: within("b", run.task.n) ?? run.task.firstPair[1],
    off: given.off ?? null,
    axis: ["linear", "log"].includes(given.axis) ? given.axis : allIsEarly(run) ? "log" : "linear",
  };
}

// What is said in words beside the figures: the readings at the cursor, the pin, the neuron.
class Words {
  /**
   * @param {RunData | Clock} clock
   * @param {RunData} run
   * @param {State} state
   */
  constructor(clock, run, state) {
    this.clock = clock;
    this.run = run;
    this.state = state;
    this.needs = ["epoch", "pinned", "neuron"];
  }

  draw() {
    const { clock, run, state } = this;
    const stop = clock.stopAt(state.get("epoch"));
    document.getElementById("epoch").textContent = epochInWords(clock.stops[stop]);
    document.getElementById("reading").textContent = clock.readings[stop];
    const pin = document.getElementById("pin");
    pin.hidden = state.get("pinned") === null;
    pin.textContent = pin.hidden ? "" : `${run.inWords(state.get("pinned"))} ×`;
    const input = fieldOf("neuron");
    if (input && document.activeElement !== input) input.value = state.get("neuron");
  }
}

class Tabs {
  constructor(state) {
    this.state = state;
    this.needs = ["tab"];
    this.tabs = Tabs.buttons();
    for (const [i, tab] of this.tabs.entries()) {
      tab.addEventListener("click", () => state.set({ tab: tab.dataset.tab }));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step) return;
        const next = this.tabs[(i + step + this.tabs.length) % this.tabs.length];
        state.set({ tab: next.dataset.tab });
        next.focus();
        event.preventDefault();
      });
    }
  }

  static buttons() {
    return [.../** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[role=tab]"))];
  }

  static names() {
    return Tabs.buttons().map((tab) => tab.dataset.tab);
  }

  draw() {
    for (const tab of this.tabs) {
      const open = tab.dataset.tab === this.state.get("tab");
      tab.setAttribute("aria-selected", String(open));
      tab.tabIndex = open ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !open;
    }
  }
}

// The controls of the band, and the number of the neuron.
function listenToControls(run, band, state) {
  const play = document.getElementById("play");
  play.addEventListener("click", () => band.playOrPause());
  band.onPlaying = (playing) => {
    play.textContent = playing ? "Pause" : "Play";
  };
  const speed = fieldOf("speed");
  speed.addEventListener("change", () => band.setSpeed(Number(speed.value)));
  const axis = fieldOf("axis");
  axis.addEventListener("change", () => state.set({ axis: axis.value }));
  axis.value = state.get("axis");
  document.getElementById("pin").addEventListener("click", () => state.set({ pinned: null }));
  const input = fieldOf("neuron");
  input?.addEventListener("input", () => {
    const neuron = Number(input.value);
    if (input.value !== "" && Number.isInteger(neuron) && neuron >= 0 && neuron < run.neurons.count) state.set({ neuron });
  });
}

// A finding or a headline number leads to what shows it.
function follow(link, { clock, state }) {
  const target = document.getElementById(link.dataset.target);
  const tab = /** @type {HTMLElement | null} */ (target.closest("[role=tabpanel]"))?.dataset.panel;
  const epoch = link.dataset.epoch ? clock.stops[clock.stopAt(Number(link.dataset.epoch))] : state.get("epoch");
  state.set(tab ? { epoch, tab } : { epoch });
  state.tell();
  target.scrollIntoView({ block: "start" });
}

// Make everything that the data of the page shows: of one run, or of several side by side. `view` is what a page that is built
// again showed before.
async function build(view = null) {
  const [text, buffer] = await Promise.all([unpacked(embedded("data")), unpacked(embedded("arrays"))]);
  const data = JSON.parse(new TextDecoder().decode(text));
  const runs = data.runs.map((one) => new RunData(one, buffer));
  const [run] = runs;
  const clock = data.sideBySide ? new Clock(runs) : run;
  document.documentElement.dataset.stops = clock.stops.length > 1 ? "several" : "one"; // with one there is no course to go along
  const network = run.network ? new Network(run.network, buffer, run.task.n) : null;
  const state = new State({ ...valuesOfAddress(run, clock, Tabs.names(), location.hash), ...view });
  const tip = new Tip(document.getElementById("tip"));
  const band = new Band(document.getElementById("band"), clock, runs, state);
  const views = runs.flatMap((one, i) => measureViews(one, state, tip, data.sideBySide ? `-${i}` : ""));
  const experiment = network ? new Experiment(run, network, state) : null;
  if (!data.sideBySide) views.push(...networkViews(run, network, experiment, state, tip));
  if (!data.sideBySide) views.push(...firstLooks(run, experiment, state, tip));
  const allPairs = experiment ? new AllPairs(document.getElementById("all-pairs"), run, experiment, state) : null;
  if (allPairs) views.push(allPairs);
  const plots = new Plots(clock, data.panels, buffer, run, state, loadPlotly);
  const spoken = runs.map((one, i) => new Spoken(one, state, data.sideBySide ? `-${i}` : ""));
  const fragment = {
    needs: ["epoch", "tab", "pinned", "head", "neuron", "a", "b", "axis", "off"],
    draw: () => history.replaceState(null, "", fragmentOf(state.values)),
  };
  for (const each of [new Tabs(state), new Words(clock, run, state), band, ...spoken, ...views, plots, fragment]) state.subscribe(each);
  listenToControls(run, band, state);
  for (const table of document.querySelectorAll(".sortable")) makeSortable(table);
  return { run, runs, clock, network, experiment, allPairs, state, band, plots, views };
}

async function start() {
  window.grokviz = await build();
  document.addEventListener("click", (event) => {
    const link = /** @type {Element} */ (event.target).closest("[data-target]");
    if (!link) return;
    event.preventDefault();
    follow(link, window.grokviz);
  });
  window.addEventListener("hashchange", ({ newURL }) => {
    const { state, run, clock } = window.grokviz;
    const { hash } = new URL(newURL); // by now a view that was drawn late may have put its own fragment into the address
    if (hash !== fragmentOf(state.values)) state.set(valuesOfAddress(run, clock, Tabs.names(), hash));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    const { band, views, plots } = window.grokviz;
    for (const view of [band, ...views]) view.draw();
    plots.recolour();
  });
  if (document.documentElement.dataset.live) watch();
  document.documentElement.dataset.ready = "yes";
}

start();
