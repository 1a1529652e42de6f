// What the reader has chosen: the stop of the cursor, a tab, a frequency, a head, a neuron, a pair, what is off. Views subscribe to it.
"use strict";

class State {
  constructor(initial) {
    this.values = initial;
    this.views = new Set();
    this.changed = new Set();
    this.asked = false;
  }

  get(name) {
    return this.values[name];
  }

  // The label of the block that is shown off: that under the pointer, else that which is pinned.
  get block() {
    return this.values.hovered ?? this.values.pinned;
  }

  set(changes) {
    for (const [name, value] of Object.entries(changes)) {
      if (this.values[name] === value) continue;
      this.values[name] = value;
      this.changed.add(name);
    }
    if (this.asked || this.changed.size === 0) return;
    this.asked = true; // many changes a frame, one drawing
    requestAnimationFrame(() => this.tell());
  }

  // Tell every view that depends on what has changed. Also called when a test cannot wait for a frame.
  tell() {
    const changed = this.changed;
    this.changed = new Set();
    this.asked = false;
    for (const view of this.views) if (view.needs.some((name) => changed.has(name))) view.draw();
  }

  // `view` is {needs: names of values, draw}. It is drawn at once.
  subscribe(view) {
    this.views.add(view);
    view.draw();
  }

  toggle(name, value) {
    this.set({ [name]: this.values[name] === value ? null : value });
  }
}

const IN_FRAGMENT = {
  epoch: { name: "epoch", read: Number },
  tab: { name: "tab", read: String },
  k: { name: "pinned", read: String, isFree: true }, // a label, or what is none
  head: { name: "head", read: Number },
  neuron: { name: "neuron", read: Number },
  a: { name: "a", read: Number },
  b: { name: "b", read: Number },
  axis: { name: "axis", read: String },
  off: { name: "off", read: (text) => wordOf(offOf(text)), isFree: true },
};

// The view as a URL fragment, and back: only what is there and what the page knows; nonsense is passed over.
function fragmentOf(values) {
  const parts = Object.entries(IN_FRAGMENT)
    .filter(([, { name }]) => values[name] !== null && values[name] !== undefined)
    .map(([key, { name }]) => `${key}=${encodeURIComponent(values[name])}`);
  return `#${parts.join("&")}`;
}

function valuesOf(fragment) {
  const values = {};
  for (const [key, text] of new URLSearchParams(fragment.replace(/^#/, ""))) {
    const known = Object.hasOwn(IN_FRAGMENT, key) ? IN_FRAGMENT[key] : null;
    if (!known) continue;
    const value = known.read(text);
    if (known.isFree || (typeof value === "number" ? Number.isInteger(value) && value >= 0 : /^[a-z_-]+$/.test(value))) {
      values[known.name] = value;
    }
  }
  return values;
}
