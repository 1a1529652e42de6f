// The network in the page: what it makes of a pair (a, b), worked out from its tables at a stop. As `models/token_tables.py`.
"use strict";

const SOURCES = ["a", "b", "="];

class Network {
  /**
   * @param {Json.NetworkData} data
   * @param {ArrayBuffer} buffer
   * @param {number} n
   */
  constructor(data, buffer, n) {
    this.n = n;
    this.fidelity = data.fidelity;
    this.basis = exactOf(data.basis.first, buffer); // [component, token]: that of the task's blocks, where it has any
    this.answerBasis = exactOf(data.basis.answer, buffer);
    this.tables = Object.fromEntries(
      Object.entries(data.tables).map(([name, place]) => [name, new ByStop(place, buffer)]),
    );
    const [heads, operandTables, , width] = this.tables.values.shape;
    this.heads = heads;
    this.operandTables = operandTables;
    this.width = width;
    this.activate = activationOf(data.activation);
    this.neurons = this.tables.readout.shape[0];
    this.classes = this.tables.readout.shape[1];
    this.cache = { stop: -1 };
  }

  // The tables of a stop. Those of the last one asked for are kept.
  at(stop) {
    if (this.cache.stop !== stop) {
      const read = (name) => this.tables[name].at(stop);
      this.cache = { stop, scores: read("scores"), places: read("places"), base: read("base") };
      for (const name of ["values", "outputs", "readout"]) {
        Object.defineProperty(this.cache, name, { get: this.once(name, stop), configurable: true });
      }
    }
    return this.cache;
  }

  once(name, stop) {
    let values = null;
    return () => (values ??= this.tables[name].at(stop));
  }

  // The attention pattern of every head for a pair: [head][source], with the scores behind it.
  pattern(stop, a, b) {
    const { scores } = this.at(stop);
    return Array.from({ length: this.heads }, (_, head) => {
      const at = (source, token) => scores[(head * 3 + source) * this.n + token];
      return softmax([at(0, a), at(1, b), at(2, 0)]);
    });
  }

  // Where the table of a head begins that holds what it reads from tokens of an operand (0, 1): the same for both, or one each.
  rowsOf(head, operand) {
    return (head * this.operandTables + Math.min(operand, this.operandTables - 1)) * this.n;
  }

  // What a head reads from a token of an operand: back from the basis.
  value(stop, head, operand, token) {
    const { values } = this.at(stop);
    const { n, width, basis } = this;
    const read = new Float32Array(width);
    for (let component = 0; component < n; component++) {
      const weight = basis[component * n + token];
      const row = (this.rowsOf(head, operand) + component) * width;
      for (let d = 0; d < width; d++) read[d] += weight * values[row + d];
    }
    return read;
  }

  // Everything that happens to a pair: pattern, pre-activations, activations, logits of the n answers and '='.
  forward(stop, a, b) {
    const { places, outputs, base } = this.at(stop);
    const { heads, width, neurons, classes } = this;
    const pattern = this.pattern(stop, a, b);
    const columns = Float32Array.from(base);
    for (let head = 0; head < heads; head++) {
      const [ofA, ofB, ofEquals] = pattern[head];
      const first = this.value(stop, head, 0, a);
      const second = this.value(stop, head, 1, b);
      for (let d = 0; d < width; d++) {
        const place = (source) => places[(head * 3 + source) * width + d];
        const read = ofA * (first[d] + place(0)) + ofB * (second[d] + place(1)) + ofEquals * place(2);
        const row = (head * width + d) * (neurons + classes);
        for (let c = 0; c < neurons + classes; c++) columns[c] += read * outputs[row + c];
      }
    }
    const activations = columns.slice(0, neurons).map(this.activate);
    const inBasis = new Float32Array(classes);
    const { readout } = this.at(stop);
    for (let i = 0; i < neurons; i++) {
      if (activations[i] === 0) continue;
      for (let c = 0; c < classes; c++) inBasis[c] += activations[i] * readout[i * classes + c];
    }
    const logits = this.fromBasis(inBasis);
    for (let c = 0; c < classes; c++) logits[c] += columns[neurons + c];
    return { pattern, activations, logits };
  }

  // Logits whose first n are in the basis, as logits of the answers; the class '=' stays.
  fromBasis(inBasis) {
    const { n, answerBasis: basis, classes } = this;
    const logits = new Float32Array(classes);
    for (let component = 0; component < n; component++) {
      for (let c = 0; c < n; c++) logits[c] += inBasis[component] * basis[component * n + c];
    }
    for (let c = n; c < classes; c++) logits[c] = inBasis[c];
    return logits;
  }

  // The activation of one neuron for all pairs, [a, b] in row-major order.
  activationMap(stop, neuron) {
    const { scores, places, outputs, base, values } = this.at(stop);
    const { n, heads, width, neurons, classes, basis } = this;
    const columns = neurons + classes;
    const map = new Float32Array(n * n).fill(base[neuron]);
    for (let head = 0; head < heads; head++) {
      const out = Float32Array.from({ length: width }, (_, d) => outputs[(head * width + d) * columns + neuron]);
      const dot = (table, row) => out.reduce((sum, x, d) => sum + x * table[row + d], 0);
      const ofTokens = [0, 1].map((operand) => {
        const inBasis = Float32Array.from({ length: n }, (_, c) => dot(values, (this.rowsOf(head, operand) + c) * width));
        return transposedProduct(basis, inBasis, n);
      });
      const ofPlace = [0, 1, 2].map((source) => dot(places, (head * 3 + source) * width));
      const ofHead = scores.subarray(head * 3 * n, (head + 1) * 3 * n);
      const largest = ofHead.reduce((most, score) => Math.max(most, score), -Infinity);
      const exps = (source) => ofHead.slice(source * n, (source + 1) * n).map((score) => Math.exp(score - largest));
      const [first, second, [equals]] = [exps(0), exps(1), exps(2)];
      for (let a = 0; a < n; a++) {
        for (let b = 0; b < n; b++) {
          const total = first[a] + second[b] + equals;
          const read = first[a] * (ofTokens[0][a] + ofPlace[0]) + second[b] * (ofTokens[1][b] + ofPlace[1]) + equals * ofPlace[2];
          map[a * n + b] += read / total;
        }
      }
    }
    return map.map(this.activate);
  }

  // What a neuron writes into the logit of each answer.
  readoutOf(stop, neuron) {
    const { readout } = this.at(stop);
    return this.fromBasis(readout.subarray(neuron * this.classes, (neuron + 1) * this.classes)).subarray(0, this.n);
  }

  // How strongly the readout of each neuron holds each block: norms, [neuron][block].
  readoutNorms(stop, blocks) {
    const { readout } = this.at(stop);
    const norms = new Float32Array(this.neurons * blocks.count);
    for (let i = 0; i < this.neurons; i++) {
      blocks.rows.forEach((rows, place) => {
        norms[i * blocks.count + place] = Math.hypot(...rows.map((row) => readout[i * this.classes + row]));
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

// A function by its values at equal steps: straight lines through them, and on beyond the ends.
function activationOf({ low, step, values }) {
  return (x) => {
    const place = (x - low) / step;
    const from = Math.max(0, Math.min(values.length - 2, Math.floor(place)));
    return values[from] + (place - from) * (values[from + 1] - values[from]);
  };
}

function softmax(scores) {
  const largest = Math.max(...scores);
  const weights = Array.from(scores, (score) => Math.exp(score - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function transposedProduct(matrix, vector, n) {
  const product = new Float32Array(n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) product[j] += matrix[i * n + j] * vector[i];
  return product;
}
