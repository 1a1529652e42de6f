// The network in the page: its tables at every stop, and what is worked out from them.
"use strict";

class Network {
  /**
   * @param {Json.NetworkData} data
   * @param {ArrayBuffer} buffer
   * @param {number} n
   */
  constructor(data, buffer, n) {
    this.n = n;
    this.fidelity = data.fidelity;
    this.embeddedTogether = data.embeddedTogether;
    this.basis = exactOf(data.basis.first, buffer); // [component, token]: that of the task's blocks, where it has any
    this.answerBasis = exactOf(data.basis.answer, buffer);
    const kept = (places) => Object.fromEntries(Object.entries(places).map(([name, place]) => [name, new ByStop(place, buffer)]));
    this.tables = kept(data.tables);
    this.last = kept(data.last);
    this.lastStop = data.tables.scores.shape[0] - 1;
    const [heads, operandTables, , width] = this.tables.values.shape;
    this.activation = data.activation;
    const [neurons, classes] = this.tables.readout.shape;
    this.sizes = { n, heads, operandTables, width, neurons, classes };
    this.cache = { stop: -1, computation: /** @type {Computation | null} */ (null) };
  }

  /**
   * The network at a stop. That of the last stop asked for is kept.
   * @param {number} stop
   */
  at(stop) {
    if (this.cache.stop !== stop || !this.cache.computation) {
      const { n, heads, operandTables, width, neurons, classes } = this.sizes;
      const read = (name) => this.read(name, stop);
      const [values, readout] = [new Float32Array(heads * operandTables * n * width), new Float32Array(neurons * classes)];
      const inBasis = read("values");
      for (let from = 0; from < values.length; from += n * width) {
        columnsFromBasis(this.basis, inBasis.subarray(from, from + n * width), values.subarray(from, from + n * width), width);
      }
      const raw = read("readout");
      for (let i = 0; i < neurons; i++) readout.set(this.fromBasis(raw.subarray(i * classes, (i + 1) * classes)), i * classes);
      const tables = { scores: read("scores"), places: read("places"), base: read("base"), outputs: read("outputs"), values, readout };
      this.cache = { stop, computation: new Computation(this.sizes, this.activation, tables) };
    }
    return this.cache.computation;
  }

  // A table as it is kept: of the last stop more finely.
  read(name, stop) {
    return stop === this.lastStop ? this.last[name].at(0) : this.tables[name].at(stop);
  }

  // Logits whose first n are in the basis, as logits of the answers; the class '=' stays.
  fromBasis(inBasis) {
    const { n, answerBasis: basis } = this;
    const logits = new Float32Array(inBasis.length);
    for (let component = 0; component < n; component++) {
      const weight = inBasis[component];
      if (weight === 0) continue; // as most are, quantised, of a network that has grokked
      const row = component * n;
      for (let c = 0; c < n; c++) logits[c] += weight * basis[row + c];
    }
    logits.set(inBasis.subarray(n), n);
    return logits;
  }

  // What a neuron writes into the logit of each answer.
  readoutOf(stop, neuron) {
    const { classes } = this.sizes;
    return this.at(stop).tables.readout.subarray(neuron * classes, neuron * classes + this.n);
  }

  // How strongly the readout of each neuron holds each block: norms, [neuron][block].
  readoutNorms(stop, blocks) {
    const { neurons, classes } = this.sizes;
    const readout = this.read("readout", stop);
    const norms = new Float32Array(neurons * blocks.count);
    for (let i = 0; i < neurons; i++) {
      blocks.rows.forEach((rows, place) => {
        norms[i * blocks.count + place] = Math.hypot(...rows.map((row) => readout[i * classes + row]));
      });
    }
    return norms;
  }

  // The two-dimensional spectrum of a function of the pair: norms, [component of a, component of b], without the constant.
  spectrum2d(map, { first: basis, second }) {
    const { n } = this;
    const along = new Float32Array(n * n); // [component, b]
    for (let i = 0; i < n; i++) {
      for (let a = 0; a < n; a++) {
        const weight = basis[i * n + a];
        for (let b = 0; b < n; b++) along[i * n + b] += weight * map[a * n + b];
      }
    }
    const spectrum = new Float32Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let b = 0; b < n; b++) sum += along[i * n + b] * second[j * n + b];
        spectrum[i * n + j] = Math.abs(sum);
      }
    }
    spectrum[0] = 0;
    return spectrum;
  }
}

/**
 * Functions of a token by their components: [token, d] from [component, d].
 * @param {Float32Array} basis [component, token]
 * @param {Float32Array} components
 * @param {Float32Array} functions written to
 * @param {number} width
 */
function columnsFromBasis(basis, components, functions, width) {
  const n = functions.length / width;
  for (let component = 0; component < n; component++) {
    if (components.subarray(component * width, (component + 1) * width).every((x) => x === 0)) continue;
    for (let token = 0; token < n; token++) {
      const weight = basis[component * n + token];
      for (let d = 0; d < width; d++) functions[token * width + d] += weight * components[component * width + d];
    }
  }
}
