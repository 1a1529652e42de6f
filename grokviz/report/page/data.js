// The data of a page: text and one binary block, unpacked; and a run's arrays by stop of the cursor.
"use strict";

const WIDTHS = { u1: Uint8Array, u2: Uint16Array };

async function unpacked(base64) {
  const packed = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// What `report/block.py` stores of quantised numbers: differences between stops, bytes of 16 bits in planes of their own.
function levelsOf(place, block) {
  const size = place.shape.reduce((product, n) => product * n, 1);
  const bytes = new Uint8Array(block, place.at, size * WIDTHS[place.type].BYTES_PER_ELEMENT);
  const levels = new WIDTHS[place.type](size);
  if (place.type === "u1") levels.set(bytes);
  else for (let i = 0; i < size; i++) levels[i] = bytes[i] | (bytes[size + i] << 8);
  const stride = size / place.shape[0];
  for (let i = stride; i < size; i++) levels[i] += levels[i - stride]; // wraps as it did when it was written
  return levels;
}

// An array whose first axis is the stop; it is decoded when it is first read.
class ByStop {
  constructor(place, block) {
    this.place = place;
    this.block = block;
    this.shape = place.shape.slice(1);
    this.size = this.shape.reduce((product, n) => product * n, 1);
    this.levels = null;
  }

  // The numbers of one stop, NaN where there is none, as a Float32Array in row-major order.
  at(stop) {
    this.levels ??= levelsOf(this.place, this.block);
    const { low, step } = this.place;
    const here = this.levels.subarray(stop * this.size, (stop + 1) * this.size);
    return Float32Array.from(here, (level) => (level === 0 ? NaN : low + (level - 1) * step));
  }
}

// Numbers that are kept as they are.
function exactOf(place, block) {
  const size = place.shape.reduce((product, n) => product * n, 1);
  return new Float32Array(block, place.at, size);
}

function nearest(stops, epoch) {
  let best = 0;
  stops.forEach((stop, i) => {
    if (Math.abs(stop - epoch) < Math.abs(stops[best] - epoch)) best = i;
  });
  return best;
}

// The stops of several runs under one cursor: all epochs at which one of them has a checkpoint.
class Clock {
  constructor(runs) {
    this.stops = [...new Set(runs.flatMap((run) => run.stops))].sort((one, other) => one - other);
    this.readings = this.stops.map((epoch) => runs.map((run) => `${run.name}: ${run.shortReadings[run.stopAt(epoch)]}`).join(", "));
  }

  stopAt(epoch) {
    return nearest(this.stops, epoch);
  }
}

// A run as the views see it: what is said of it in `text`, and its arrays.
class RunData {
  constructor(text, block) {
    Object.assign(this, text);
    this.block = block;
    this.arrays = new Map(Object.entries(text.arrays).map(([name, place]) => [name, new ByStop(place, block)]));
    this.history = Object.fromEntries(
      Object.entries(text.history).map(([name, place]) => [name, exactOf(place, block)]),
    );
  }

  has(...names) {
    return names.every((name) => this.arrays.has(name));
  }

  at(name, stop) {
    return this.arrays.get(name).at(stop);
  }

  // The stop nearest to an epoch; of two as near, the earlier.
  stopAt(epoch) {
    return nearest(this.stops, epoch);
  }

  colour(frequency) {
    const place = this.keys.indexOf(frequency);
    return place < 0 ? null : onPaper(this.keyColours[place]);
  }

  // The key frequency that this one is twice or three times, as {key, multiple}; null where there is none.
  harmonicOf(frequency) {
    return this.multiplesOfKeys[frequency] ?? null;
  }

  frequencyInWords(frequency) {
    if (this.keys.includes(frequency)) return `frequency ${frequency}, key`;
    const harmonic = this.harmonicOf(frequency);
    return harmonic ? `frequency ${frequency}, ${harmonic.multiple} times key ${harmonic.key}` : `frequency ${frequency}`;
  }
}
