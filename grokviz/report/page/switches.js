// The switches of the experiment: parts of the network on, off, or others of their kind off in their place.
"use strict";

const NAMES_OF_KINDS = { blocks: "Out of W_E", heads: "Heads at their mean", neurons: "Neurons at their mean" };

class Switches {
  /**
   * @param {HTMLElement} element
   * @param {RunData} run
   * @param {Experiment} experiment
   * @param {State} state
   */
  constructor(element, run, experiment, state) {
    this.run = run;
    this.experiment = experiment;
    this.state = state;
    this.needs = ["epoch", "off", "pinned"];
    this.shown = "";
    this.rows = Object.fromEntries(KINDS.map((kind) => [kind, document.createElement("div")]));
    for (const [kind, row] of Object.entries(this.rows)) {
      row.className = "switches";
      row.setAttribute("role", "toolbar"); // one stop of Tab each; arrows go along it
      row.addEventListener("keydown", (event) => alongRow(row, event));
      row.addEventListener("focusin", ({ target }) => this.stops(row, target));
      row.setAttribute("aria-label", NAMES_OF_KINDS[kind]);
      element.append(row);
    }
    this.reset = document.createElement("button");
    this.reset.type = "button";
    this.reset.textContent = "All on again";
    this.reset.addEventListener("click", () => state.set({ off: null }));
    element.querySelector("h3").append(" ", this.reset);
  }

  draw() {
    const stop = this.run.stopAt(this.state.get("epoch"));
    const { off } = this.experiment;
    const switches = this.experiment.switches(stop);
    const { instead } = this.experiment.changes(stop);
    const shown = JSON.stringify(switches);
    if (shown !== this.shown) this.build(switches);
    this.shown = shown;
    for (const each of switches) {
      const chip = /** @type {HTMLElement} */ (this.rows[each.kind].querySelector(`[data-switch="${each.id}"]`));
      const draw = each.whyNot ? null : off.get(each.id) ?? null;
      chip.querySelector("input").checked = draw !== null && draw < 0;
      const button = chip.querySelector("button");
      if (!button) continue;
      button.setAttribute("aria-pressed", String(each.id in instead));
      button.textContent = each.id in instead ? `${instead[each.id]} instead` : "a random other";
    }
    this.reset.disabled = off.size === 0;
  }

  // The switches anew, with the focus where it was.
  build(switches) {
    const focused = document.activeElement?.closest("[data-switch]");
    const [id, tag] = focused ? [/** @type {HTMLElement} */ (focused).dataset.switch, document.activeElement.tagName] : ["", ""];
    for (const kind of KINDS) {
      const chips = switches.filter((each) => each.kind === kind).map((each) => this.chip(each));
      const name = document.createElement("span");
      name.textContent = NAMES_OF_KINDS[kind];
      this.rows[kind].replaceChildren(...(chips.length ? [name, ...chips] : []));
      if (kind === "blocks" && this.run.blocks) {
        const hint = document.createElement("small");
        hint.textContent = `a click on a ${this.run.blocks.axis} in any figure gives it switches`;
        this.rows[kind].append(hint);
      }
    }
    for (const row of Object.values(this.rows)) this.stops(row, row.querySelector("input:enabled"));
    if (id) /** @type {HTMLElement | null} */ (document.querySelector(`[data-switch="${id}"] ${tag}`))?.focus();
  }

  // Let Tab stop in a row at one control alone.
  stops(row, at) {
    for (const each of controlsOf(row)) each.tabIndex = each === at ? 0 : -1;
  }

  /** @param {Switch} each */
  chip(each) {
    const chip = document.createElement("span");
    chip.className = "switch";
    chip.dataset.switch = each.id;
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.disabled = Boolean(each.whyNot);
    box.addEventListener("change", () => this.experiment.set(each.id, box.checked ? -1 : null));
    label.append(box);
    const colour = each.label === null ? null : this.run.colour(each.label);
    if (colour) {
      const spot = document.createElement("span");
      spot.className = "spot";
      spot.style.background = colour;
      label.append(spot);
    }
    label.append(each.said);
    label.title = each.whyNot;
    chip.append(label);
    if (each.draws > 0 && !each.whyNot) chip.append(this.instead(each));
    return chip;
  }

  // The button that takes a control in the place of a part, and at each click another.
  instead(each) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "A control: as much of the same kind, drawn by chance, off in its place; another at each click";
    button.addEventListener("click", () => {
      const last = this.experiment.off.get(each.id) ?? -1;
      const chance = Math.floor(Math.random() * each.draws);
      this.experiment.set(each.id, chance === last && each.draws > 1 ? (chance + 1) % each.draws : chance);
    });
    return button;
  }
}

/**
 * @param {HTMLElement} row
 * @returns {HTMLElement[]}
 */
function controlsOf(row) {
  return [...row.querySelectorAll(/** @type {"input"} */ ("input:enabled, button"))];
}

// The arrow keys go along the controls of a row, and round.
function alongRow(row, event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  const controls = controlsOf(row);
  controls[(controls.indexOf(event.target) + step + controls.length) % controls.length]?.focus();
  event.preventDefault();
}
