// The data of a page: text and one binary buffer, unpacked; and a run's arrays by stop of the cursor.
"use strict";

const ROOM_FOR_A_NAME = 80;

const WIDTHS = { u1: Uint8Array, u2: Uint16Array };

/**
 * @param {string} base64
 * @returns {Promise<ArrayBuffer>}
 */
async function unpacked(base64) {
  const packed = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/**
 * What `report/buffer.py` stores of quantised numbers: differences between stops, bytes of 16 bits in planes of their own.
 * @param {Json.Place} place
 * @param {ArrayBuffer} buffer
 */
function levelsOf(place, buffer) {
  const size = place.shape.reduce((product, n) => product * n, 1);
  const bytes = new Uint8Array(buffer, place.at, size * WIDTHS[place.type].BYTES_PER_ELEMENT);
  const levels = new WIDTHS[place.type](size);
  if (place.type === "u1") levels.set(bytes);
  else for (let i = 0; i < size; i++) levels[i] = bytes[i] | (bytes[size + i] << 8);
  const stride = size / place.shape[0];
  for (let i = stride; i < size; i++) levels[i] += levels[i - stride]; // wraps as it did when it was written
  return levels;
}

// An array whose first axis is the stop; it is decoded when it is first read.
class ByStop {
  /**
   * @param {Json.Place} place
   * @param {ArrayBuffer} buffer
   */
  constructor(place, buffer) {
    this.place = place;
    this.buffer = buffer;
    this.shape = place.shape.slice(1);
    this.size = this.shape.reduce((product, n) => product * n, 1);
    this.levels = /** @type {Uint8Array | Uint16Array | null} */ (null);
  }

  /**
   * The numbers of one stop, NaN where there is none, as a Float32Array in row-major order.
   * @param {number} stop
   */
  at(stop) {
    this.levels ??= levelsOf(this.place, this.buffer);
    const { low, step } = this.place;
    const numbers = new Float32Array(this.size);
    const from = stop * this.size;
    for (let i = 0; i < this.size; i++) {
      const level = this.levels[from + i];
      numbers[i] = level === 0 ? NaN : low + (level - 1) * step;
    }
    return numbers;
  }
}

/**
 * Numbers that are kept as they are.
 * @param {Json.Place} place
 * @param {ArrayBuffer} buffer
 */
function exactOf(place, buffer) {
  const size = place.shape.reduce((product, n) => product * n, 1);
  return new Float32Array(buffer, place.at, size);
}

/**
 * @template {object} Places
 * @param {Places} places
 * @param {ArrayBuffer} buffer
 * @returns {Record<keyof Places, Float32Array>}
 */
function exactOfEach(places, buffer) {
  const found = Object.entries(places).map(([name, place]) => [name, exactOf(place, buffer)]);
  return /** @type {Record<keyof Places, Float32Array>} */ (Object.fromEntries(found));
}

/**
 * Of at least one number.
 * @param {ArrayLike<number>} numbers
 */
function median(numbers) {
  const sorted = Float64Array.from(numbers).sort();
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}

/**
 * @param {number[]} stops
 * @param {number} epoch
 */
function nearest(stops, epoch) {
  let best = 0;
  stops.forEach((stop, i) => {
    if (Math.abs(stop - epoch) < Math.abs(stops[best] - epoch)) best = i;
  });
  return best;
}

// The stops of several runs under one cursor: all epochs at which one of them has a checkpoint.
class Clock {
  /** @param {RunData[]} runs */
  constructor(runs) {
    this.stops = [...new Set(runs.flatMap((run) => run.stops))].sort((one, other) => one - other);
    this.readings = this.stops.map((epoch) => runs.map((run) => `${run.name}: ${run.shortReadings[run.stopAt(epoch)]}`).join(", "));
  }

  stopAt(epoch) {
    return nearest(this.stops, epoch);
  }
}

// A run as the views see it: the values of `report/data.py`, and its arrays.
class RunData {
  /**
   * @param {Json.RunData} data
   * @param {ArrayBuffer} buffer
   */
  constructor(data, buffer) {
    this.name = data.name;
    this.stops = data.stops;
    this.readings = data.readings;
    this.shortReadings = data.shortReadings;
    this.ownColour = data.ownColour;
    this.heads = data.heads;
    this.task = data.task;
    this.groups = data.task.groups
      ? { names: data.task.groups.names, ofPair: new ByStop(data.task.groups.ofPair, buffer).at(0) }
      : null;
    this.keys = data.keys;
    this.neurons = data.neurons;
    this.spoken = data.spoken;
    this.tried = new Map(Object.entries(data.tried).map(([epoch, tried]) => [Number(epoch), tried]));
    this.superposed = data.superposed;
    this.network = data.network;
    this.arrays = new Map(Object.entries(data.arrays).map(([name, place]) => [name, new ByStop(place, buffer)]));
    this.band = { ...data.band, history: exactOfEach(data.band.history, buffer) };
    this.blocks = data.blocks ? new Blocks(data.blocks, buffer, data.task.n) : null;
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

  // The colour of a key block, by its label; null for others.
  colour(label) {
    const place = this.keys.labels.indexOf(label);
    return place < 0 ? null : onPaper(this.keys.colours[place]);
  }

  // The key frequency that this one is twice or three times, as {key, multiple}; null where there is none.
  harmonicOf(label) {
    return this.keys.multiples[label] ?? null;
  }

  // Of each block of a spectrum, given per component, the key that it is a harmonic of; null where it is of none that stands out.
  harmonicsIn(perComponent) {
    const least = this.keys.harmonicShare * perComponent.reduce((a, b) => Math.max(a, b), 0);
    const others = perComponent.filter((_, i) => !this.keys.labels.includes(this.blocks.labels[i]) && !this.harmonicOf(this.blocks.labels[i]));
    const leastOfKey = others.length ? this.keys.multipleOfMedian * median(others) : 0;
    return this.blocks.labels.map((label, i) => {
      const harmonic = perComponent[i] >= least ? this.harmonicOf(label) : null;
      return harmonic && perComponent[this.blocks.labels.indexOf(harmonic.key)] >= leastOfKey ? harmonic : null;
    });
  }

  inWords(label) {
    const said = `${this.blocks.axis} ${label}`;
    if (this.keys.labels.includes(label)) return `${said}, key`;
    const harmonic = this.harmonicOf(label);
    return harmonic ? `${said}, ${harmonic.multiple} times key ${harmonic.key}` : said;
  }

  // The label of the block with this number, counted from 1; null for what is no number of one.
  labelOf(number) {
    return this.blocks?.labels[number - 1] ?? null;
  }
}

// The blocks of a task's harmonics: of a cyclic group its frequencies. By their labels.
class Blocks {
  /**
   * @param {Json.BlocksData} data
   * @param {ArrayBuffer} buffer
   * @param {number} n
   */
  constructor(data, buffer, n) {
    this.axis = data.axis;
    this.plural = data.plural;
    this.symbol = data.symbol;
    this.at = data.at;
    this.labels = data.labels;
    this.rows = data.rows;
    this.components = data.components;
    this.rowsAreFixed = data.rowsAreFixed;
    this.n = n;
    this.basis = exactOfEach(data.basis, buffer);
    this.places = new Map(this.labels.map((label, place) => [label, place]));
    this.areNumbers = this.labels.every((label) => typeof label === "number");
  }

  get count() {
    return this.labels.length;
  }

  // The place of a block among all, from 0; -1 for one of another run.
  place(label) {
    return this.places.get(label) ?? -1;
  }

  // The label that a text says, as in an address; null where none does.
  named(text) {
    return this.labels.find((label) => String(label) === text) ?? null;
  }

  // Where a block stands along an axis of numbers, and which stands there; as `figures/theme.py` puts them.
  position(label) {
    return this.areNumbers ? label : this.place(label) + 1;
  }

  labelAt(position) {
    const near = Math.round(position);
    if (this.areNumbers) return this.places.has(near) ? near : null;
    return this.labels[near - 1] ?? null;
  }

  // Powers over the number of rows of each block, by which blocks are compared; as `tasks/blocks.py`.
  perComponent(power) {
    return power.map((share, place) => share / this.rows[place].length);
  }

  // A block in short: 'k = 3', or its name.
  short(label) {
    return this.symbol ? `${this.symbol} = ${label}` : String(label);
  }

  // The norms over blocks, the constant first, of a map of components × components.
  normsOf(map) {
    const size = this.count + 1;
    const placeOf = new Uint16Array(this.components.length);
    this.rows.forEach((rows, place) => rows.forEach((row) => (placeOf[row] = place + 1)));
    const squares = new Float32Array(size * size);
    map.forEach((norm, at) => {
      const [row, column] = [Math.floor(at / placeOf.length), at % placeOf.length];
      squares[placeOf[row] * size + placeOf[column]] += norm * norm;
    });
    return squares.map(Math.sqrt);
  }

  // The rows of a block among all components, and the block of a component; null for the constant.
  rowsOf(label) {
    return this.rows[this.place(label)] ?? [];
  }

  blockOf(component) {
    const place = this.rows.findIndex((rows) => rows.includes(component));
    return place < 0 ? null : this.labels[place];
  }

  // The part of functions of a token that lies along a block, `where` the token stands: "first", "second" or "answer".
  along(label, values, where) {
    const basis = this.basis[where];
    const part = new Float32Array(this.n);
    for (const row of this.rowsOf(label)) {
      let weight = 0;
      for (let t = 0; t < this.n; t++) weight += basis[row * this.n + t] * values[t];
      for (let t = 0; t < this.n; t++) part[t] += weight * basis[row * this.n + t];
    }
    return part;
  }

  // Where a token lies round the circle of a block of one or two rows, in turns from 0 to 1; null where that is no circle.
  turn(label, token, where = "first") {
    const rows = this.rowsOf(label);
    if (rows.length > 2 || !this.rowsAreFixed) return null;
    const at = (row) => (row === undefined ? 0 : this.basis[where][row * this.n + token]);
    const turn = Math.atan2(at(rows[1]), at(rows[0])) / (2 * Math.PI);
    return turn < -1e-9 ? turn + 1 : Math.max(0, turn);
  }

  // The places that are named along an axis with so much room for each: of numbers the first and every so many, of names as many
  // as there is room for.
  ticks(every, room) {
    const apart = Math.ceil(ROOM_FOR_A_NAME / room);
    return this.labels
      .map((label, place) => ({ label, place }))
      .filter(({ label, place }) => place === 0 || (this.areNumbers ? Number(label) % every === 0 : place % apart === 0));
  }
}
