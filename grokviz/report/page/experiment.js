// The worked sum as an experiment: what is switched off, or a control in its place, and the network without it.
"use strict";

/**
 * A part of the network that can be switched off. `draws` is how many others there are to take instead of it; `whyNot` says why it
 * cannot be switched off.
 * @typedef {{id: string, kind: "blocks" | "heads" | "neurons", said: string, off: string, label: string | number | null,
 *   draws: number, whyNot: string}} Switch
 */

const KINDS = ["blocks", "heads", "neurons"];
const NEURON_DRAWS = 1000;

class Experiment {
  /**
   * @param {RunData} run
   * @param {Network} network
   * @param {State} state
   */
  constructor(run, network, state) {
    this.run = run;
    this.network = network;
    this.state = state;
    this.cache = { key: "", computation: /** @type {Computation | null} */ (null) };
  }

  // What is switched off, by the ids of switches: the number of the control that stands in its place, -1 for none.
  get off() {
    return offOf(this.state.get("off"));
  }

  /**
   * Switch something off, or on again; or another of its kind off in its place.
   * @param {string} id
   * @param {number | null} draw null for on, -1 for off, else the control that is off instead
   */
  set(id, draw) {
    const off = this.off;
    if (draw === null) off.delete(id);
    else off.set(id, draw);
    this.state.set({ off: wordOf(off) });
  }

  // All switches at a stop: those of the key blocks, of what is pinned and of what is off, of heads, of groups of neurons.
  /** @returns {Switch[]} */
  switches(stop) {
    return [...this.ofBlocks(), ...this.ofHeads(), ...this.ofNeurons(stop)];
  }

  // The places of the blocks that have a switch.
  get places() {
    const { blocks, keys } = this.run;
    if (!blocks) return [];
    const chosen = [...keys.labels, ...(this.state.get("pinned") === null ? [] : [this.state.get("pinned")])];
    const off = [...this.off.keys()].filter((id) => /^[kn]\d/.test(id)).map((id) => Number(id.slice(1)));
    const places = [...chosen.map((label) => blocks.place(label)), ...off];
    return [...new Set(places)].filter((place) => place >= 0 && place < blocks.count).sort((one, other) => one - other);
  }

  // Blocks of as many rows that are neither key nor a harmonic of one: what the block at a place is compared with.
  others(place) {
    const { blocks, keys } = this.run;
    return blocks.labels
      .map((label, at) => ({ label, at }))
      .filter(({ label, at }) => at !== place && !keys.labels.includes(label) && !this.run.harmonicOf(label) && blocks.rows[at].length === blocks.rows[place].length)
      .map(({ at }) => at);
  }

  /** @returns {Switch[]} */
  ofBlocks() {
    const { blocks, keys } = this.run;
    if (!blocks) return [];
    const each = this.places.map((place) => {
      const label = blocks.labels[place];
      const said = blocks.short(label);
      return { id: `k${place}`, kind: /** @type {"blocks"} */ ("blocks"), said, off: `${said} out of W_E`, label, draws: this.others(place).length, whyNot: "" };
    });
    if (!keys.labels.length) return each;
    const said = `all other ${blocks.plural}`;
    return [...each, { id: "others", kind: "blocks", said, off: `all ${blocks.plural} but the keys out of W_E`, label: null, draws: 0, whyNot: "" }];
  }

  /** @returns {Switch[]} */
  ofHeads() {
    const { heads } = this.run;
    return Array.from({ length: heads }, (_, head) => ({
      id: `h${head}`, kind: "heads", said: `head ${head}`, off: `head ${head} at its mean`, label: null, draws: heads - 1, whyNot: "",
    }));
  }

  /** @returns {Switch[]} */
  ofNeurons(stop) {
    if (!this.run.has("neuron_frequency", "neuron_purity")) return [];
    const { blocks } = this.run;
    const of = (id, said) => {
      const { length } = this.members(id, stop);
      const draws = 2 * length <= this.run.neurons.count ? NEURON_DRAWS : 0;
      const whyNot = length ? "" : `at this epoch no neuron is ${id === "impure" ? "alive and impure" : `pure and of ${said}`}`;
      const which = id === "impure" ? "impure ones" : `pure ones of ${said}`;
      return { id, kind: /** @type {"neurons"} */ ("neurons"), said: `${length} ${which}`, off: `the ${length} ${which} at their mean`, label: id === "impure" ? null : blocks.labels[Number(id.slice(1))], draws, whyNot };
    };
    return [...this.places.map((place) => of(`n${place}`, blocks.short(blocks.labels[place]))), of("impure", "")];
  }

  // The neurons of a group at a stop: the pure ones of a block, or those that live and are not pure.
  members(id, stop) {
    const numbers = this.run.at("neuron_frequency", stop);
    const purity = this.run.at("neuron_purity", stop);
    const { pure } = this.run.neurons;
    const all = Array.from(purity, (_, neuron) => neuron).filter((neuron) => Number.isFinite(purity[neuron]));
    if (id === "impure") return all.filter((neuron) => !(purity[neuron] > pure));
    const label = this.run.blocks.labels[Number(id.slice(1))];
    return all.filter((neuron) => purity[neuron] > pure && this.run.labelOf(numbers[neuron]) === label);
  }

  // What a switch itself takes out: places of blocks, heads, or neurons.
  /**
   * @param {Switch} each
   * @param {number} stop
   * @returns {number[]}
   */
  own(each, stop) {
    if (each.kind === "neurons") return this.members(each.id, stop);
    if (each.id !== "others") return [Number(each.id.slice(1))];
    const { keys, blocks } = this.run;
    return blocks.labels.map((_, place) => place).filter((place) => !keys.labels.includes(blocks.labels[place]));
  }

  /**
   * As much of the same kind, drawn by a number from what is not avoided; null where there is not so much.
   * @param {Switch} each
   * @param {number} draw
   * @param {number} stop
   * @param {Set<number>} avoided
   */
  drawn(each, draw, stop, avoided) {
    const own = this.own(each, stop);
    const all = { blocks: () => this.others(own[0]), heads: () => numbersTo(this.run.heads), neurons: () => numbersTo(this.run.neurons.count) };
    const pool = each.draws ? all[each.kind]().filter((one) => !avoided.has(one) && !own.includes(one)) : [];
    if (pool.length < own.length) return null;
    if (each.kind !== "neurons") return [pool[draw % pool.length]];
    const random = randomOf(draw);
    for (let i = pool.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [pool[i], pool[j]] = [pool[j], pool[i]];
    }
    return pool.slice(0, own.length).sort((one, other) => one - other);
  }

  /** @param {Switch} each */
  inWords(each, units, isOwn) {
    if (isOwn) return each.off;
    if (each.kind === "blocks") return `${this.run.blocks.short(this.run.blocks.labels[units[0]])} out of W_E`;
    return each.kind === "heads" ? `head ${units[0]} at its mean` : `${units.length} other neurons at their mean`;
  }

  /**
   * What is off at a stop, each in words and together; `instead` has those in whose place a control is off. With `draw` a control
   * stands in the place of each, or null where one has none. No control is what is off, or another's control.
   * @param {number} stop
   * @param {number | null} draw
   */
  changes(stop, draw = null) {
    const { off } = this;
    const switches = this.switches(stop).filter((each) => off.has(each.id) && !each.whyNot);
    const avoided = { blocks: new Set(), heads: new Set(), neurons: new Set() };
    for (const each of switches) for (const one of this.own(each, stop)) avoided[each.kind].add(one);
    const found = { blocks: [], heads: [], neurons: [], said: [], instead: {} };
    for (const each of switches) {
      const number = draw ?? off.get(each.id);
      const units = number < 0 ? this.own(each, stop) : this.drawn(each, number, stop, avoided[each.kind]);
      if (!units && draw !== null) return null;
      const said = units ? this.inWords(each, units, number < 0) : `nothing in the place of ${each.said}, for there is no other of its size`;
      for (const one of units ?? []) avoided[each.kind].add(one);
      found[each.kind].push(...(units ?? []));
      found.said.push(said);
      if (number >= 0) found.instead[each.id] = said;
    }
    for (const kind of KINDS) found[kind] = [...new Set(found[kind])].sort((one, other) => one - other);
    return found;
  }

  // The network at a stop without what is off.
  at(stop) {
    const changes = this.changes(stop);
    const key = `${stop} ${JSON.stringify(changes)}`;
    if (this.cache.key !== key) this.cache = { key, computation: this.without(stop, changes) };
    return this.cache.computation;
  }

  // The network at a stop without some parts: blocks out of W_E, then heads, then neurons at the mean that they now have.
  without(stop, { blocks, heads, neurons }) {
    let computation = this.network.at(stop);
    if (blocks.length) computation = computation.withoutFunctions(this.spans(blocks));
    if (heads.length) computation = computation.withHeadsAtMean(heads);
    if (neurons.length) computation = computation.withNeuronsAtMean(neurons);
    return computation;
  }

  // Of each operand the functions of its token that lie in some blocks: where one weight embeds both, those of either.
  spans(places) {
    const { blocks, task } = this.run;
    const rows = places.flatMap((place) => blocks.rows[place]);
    const of = (basis) => rows.map((row) => basis.subarray(row * task.n, (row + 1) * task.n));
    const [first, second] = [of(blocks.basis.first), of(blocks.basis.second)];
    const isOne = blocks.basis.first.byteOffset === blocks.basis.second.byteOffset;
    if (!this.network.embeddedTogether) return [spanned(first), spanned(second)];
    const span = spanned(isOne ? first : [...first, ...second]);
    return [span, span];
  }
}

/**
 * What is off, from one word: ids of switches, with '~' and a number those that have a control in their place.
 * @param {string | null} word
 * @returns {Map<string, number>}
 */
function offOf(word) {
  const parts = (word ?? "").split(".").filter((part) => /^(?:[khn]\d{1,5}|others|impure)(?:~\d{1,5})?$/.test(part));
  return new Map(parts.map((part) => part.split("~")).map(([id, draw]) => [id, draw === undefined ? -1 : Number(draw)]));
}

/** @param {Map<string, number>} off */
function wordOf(off) {
  const parts = [...off].map(([id, draw]) => (draw < 0 ? id : `${id}~${draw}`));
  return parts.length ? parts.join(".") : null;
}

// Numbers from 0 to 1 that a whole number begins: the generator mulberry32.
function randomOf(seed) {
  let state = (seed + 1) * 0x9e3779b1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

function numbersTo(count) {
  return Array.from({ length: count }, (_, number) => number);
}
