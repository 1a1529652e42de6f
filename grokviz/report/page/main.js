// The page of a run: makes the views, and keeps band, tabs, links and the URL in step with the state.
"use strict";

function isShown(id) {
  return document.getElementById(id) !== null;
}

// The values that a page begins with: those of the fragment where the run has them, else the end of training.
function initialValues(run, tabs) {
  const given = valuesOf(location.hash);
  const within = (name, most) => (given[name] !== undefined && given[name] < most ? given[name] : null);
  return {
    epoch: run.stops[given.epoch === undefined ? run.stops.length - 1 : run.stopAt(given.epoch)],
    tab: tabs.includes(given.tab) ? given.tab : tabs[0],
    pinned: given.pinned >= 1 && given.pinned <= run.frequencies ? given.pinned : null,
    hovered: null,
    head: within("head", run.heads) ?? 0,
    neuron: within("neuron", run.neurons) ?? run.firstNeuron,
    a: within("a", run.n) ?? run.firstPair[0],
    b: within("b", run.n) ?? run.firstPair[1],
    axis: given.axis === "log" ? "log" : "linear",
  };
}

function mainViews(run, network, state, tip) {
  const views = [];
  const add = (id, make) => isShown(id) && views.push(make(document.getElementById(id)));
  add("view-circles", (element) => new Circles(element, run, state, tip));
  add("view-spectrum", (element) => new Spectrum(element, run, state, tip));
  add("view-attention", (element) => new Attention(element, run, state, tip));
  add("view-neurons", (element) => new Neurons(element, run, state, tip));
  add("view-logits", (element) => logitSpectrum(element, run, state, tip));
  if (!network) return views;
  views.push(new WorkedSum(document.getElementById("sum"), run, network, state, tip));
  add("view-activation", (element) => activationMap(element, run, network, state, tip));
  add("view-neuron-spectrum", (element) => neuronSpectrum(element, run, network, state, tip));
  add("view-readout", (element) => new NeuronReadout(element, run, network, state));
  add("view-readouts", (element) => new AllReadouts(element, run, network, state, tip));
  return views;
}

function logitSpectrum(element, run, state, tip) {
  return new SquareMap(element, state, tip, {
    needs: ["epoch", "hovered", "pinned"],
    label: () => "Two-dimensional Fourier spectrum of the logits",
    numbers: () => ({ values: run.at("logit_spectrum", run.stopAt(state.get("epoch"))), n: run.n }),
    range: largestOf,
    colours: "sequential",
    words: (row, column, norm) => ({
      words: `${run.components[row]} of a × ${run.components[column]} of b: ${percent(norm * norm, 2)} of the logits' variance`,
      frequency: Math.ceil(Math.max(row, column) / 2) || null,
    }),
    marks: () => marksOfFrequency(run, state.frequency),
    axes: ["a", "component of b"],
  });
}

function activationMap(element, run, network, state, tip) {
  return new SquareMap(element, state, tip, {
    needs: ["epoch", "neuron", "a", "b"],
    label: () => `Activation of neuron ${state.get("neuron")} for every pair`,
    numbers: () => ({ values: network.activationMap(run.stopAt(state.get("epoch")), state.get("neuron")), n: run.n }),
    range: largestOf,
    colours: "sequential",
    words: (a, b, activation) => ({
      words: `neuron ${state.get("neuron")} at a = ${run.elements[a]}, b = ${run.elements[b]}: ${inWords(activation)}`,
      choose: () => state.set({ a, b }),
    }),
    marks: () => [
      { row: state.get("a"), colour: "#ffffff" },
      { column: state.get("b"), colour: "#ffffff" },
    ],
    axes: ["a", "b"],
  });
}

function neuronSpectrum(element, run, network, state, tip) {
  return new SquareMap(element, state, tip, {
    needs: ["epoch", "neuron", "hovered", "pinned"],
    label: () => `Two-dimensional Fourier spectrum of neuron ${state.get("neuron")}`,
    numbers: () => {
      const map = network.activationMap(run.stopAt(state.get("epoch")), state.get("neuron"));
      return { values: network.spectrum2d(map), n: run.n };
    },
    range: largestOf,
    colours: "sequential",
    words: (row, column, norm) => ({
      words: `${run.components[row]} of a × ${run.components[column]} of b: norm ${inWords(norm)}`,
      frequency: Math.ceil(Math.max(row, column) / 2) || null,
    }),
    marks: () => marksOfFrequency(run, state.frequency),
    axes: ["a", "component of b"],
  });
}

// What is said in words beside the figures: readings at the cursor, findings of the moving panels, the pin.
class Words {
  constructor(run, state) {
    Object.assign(this, { run, state });
    this.needs = ["epoch", "pinned", "hovered", "neuron"];
  }

  draw() {
    const { run, state } = this;
    const stop = run.stopAt(state.get("epoch"));
    document.getElementById("epoch").textContent = epochInWords(run.stops[stop]);
    document.getElementById("reading").textContent = run.readings[stop];
    for (const [name, { findings, shows }] of Object.entries(run.spoken)) {
      const figure = document.getElementById(name);
      figure.querySelector("h3").textContent = findings[stop];
      figure.querySelector(".shows").textContent = shows[stop];
    }
    const pin = document.getElementById("pin");
    pin.hidden = state.get("pinned") === null;
    pin.textContent = pin.hidden ? "" : `${run.frequencyInWords(state.get("pinned"))} ×`;
    const input = document.getElementById("neuron");
    if (input && document.activeElement !== input) input.value = state.get("neuron");
  }
}

class Tabs {
  constructor(state) {
    this.state = state;
    this.needs = ["tab"];
    this.tabs = [...document.querySelectorAll("[role=tab]")];
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

  static names() {
    return [...document.querySelectorAll("[role=tab]")].map((tab) => tab.dataset.tab);
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

// Buttons and links outside the figures.
function listen(run, band, state) {
  const play = document.getElementById("play");
  play.addEventListener("click", () => band.playOrPause());
  band.onPlaying = (playing) => {
    play.textContent = playing ? "Pause" : "Play";
  };
  document.getElementById("speed").addEventListener("change", (event) => band.setSpeed(Number(event.target.value)));
  document.getElementById("axis").addEventListener("change", (event) => state.set({ axis: event.target.value }));
  document.getElementById("axis").value = state.get("axis");
  document.getElementById("pin").addEventListener("click", () => state.set({ pinned: null }));
  document.getElementById("neuron")?.addEventListener("input", (event) => {
    const neuron = Number(event.target.value);
    if (event.target.value !== "" && Number.isInteger(neuron) && neuron >= 0 && neuron < run.neurons) state.set({ neuron });
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-target]");
    if (!link) return;
    event.preventDefault();
    const target = document.getElementById(link.dataset.target);
    const tab = target.closest("[role=tabpanel]")?.dataset.panel;
    const epoch = link.dataset.epoch ? run.stops[run.stopAt(Number(link.dataset.epoch))] : state.get("epoch");
    state.set(tab ? { epoch, tab } : { epoch });
    state.tell();
    target.scrollIntoView({ block: "start" });
  });
  window.addEventListener("hashchange", () => {
    if (location.hash === fragmentOf(state.values)) return;
    state.set(initialValues(run, Tabs.names()));
  });
}

async function start() {
  const content = (id) => document.getElementById(id).textContent;
  const [text, block] = await Promise.all([unpacked(content("data")), unpacked(content("arrays"))]);
  const run = new RunData(JSON.parse(new TextDecoder().decode(text)), block);
  const network = run.network ? new Network(run.network, block, run.n) : null;
  const state = new State(initialValues(run, Tabs.names()));
  const tip = new Tip(document.getElementById("tip"));
  const band = new Band(document.getElementById("band"), [run], state);
  let plotly = null;
  const loadPlotly = () => (plotly ??= unpacked(content("plotly")).then((source) => {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(source);
    document.head.append(script);
  }));
  state.subscribe(new Tabs(state));
  state.subscribe(new Words(run, state));
  state.subscribe(band);
  const views = mainViews(run, network, state, tip);
  views.forEach((view) => state.subscribe(view));
  const plots = new Plots(run, state, loadPlotly);
  state.subscribe(plots);
  state.subscribe({
    needs: ["epoch", "tab", "pinned", "head", "neuron", "a", "b", "axis"],
    draw: () => history.replaceState(null, "", fragmentOf(state.values)),
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => [band, ...views].forEach((view) => view.draw()));
  listen(run, band, state);
  window.grokviz = { run, network, state, band, plots, views };
  document.documentElement.dataset.ready = "yes";
}

start();
