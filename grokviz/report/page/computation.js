// A network at one checkpoint, as tables of its tokens: its answers, and the same network without parts of it; a worker can do it too.
"use strict";

/**
 * @typedef {{n: number, heads: number, operandTables: number, width: number, neurons: number, classes: number}} Sizes
 * @typedef {Record<"scores" | "values" | "places" | "base" | "outputs" | "readout", Float32Array>} Tables
 * @typedef {{answers: ArrayLike<number>, groups: ArrayLike<number>, count: number}} Asked
 */

const SOURCES = ["a", "b", "="];

class Computation {
  /**
   * @param {Sizes} sizes
   * @param {Json.ActivationData} activation
   * @param {Tables} tables values by token, readout by class
   */
  constructor(sizes, activation, tables) {
    this.sizes = sizes;
    this.activation = activation;
    this.tables = tables;
    this.activate = activationOf(activation);
  }

  /**
   * The same network with some other tables.
   * @param {Partial<Tables>} tables
   */
  with(tables) {
    return new Computation(this.sizes, this.activation, { ...this.tables, ...tables });
  }

  // The attention pattern of every head for a pair: [head][source].
  pattern(a, b) {
    const { n, heads } = this.sizes;
    const { scores } = this.tables;
    return Array.from({ length: heads }, (_, head) => {
      const at = (source, token) => scores[(head * 3 + source) * n + token];
      return softmax([at(0, a), at(1, b), at(2, 0)]);
    });
  }

  // Where the table of a head begins that holds what it reads from tokens of an operand (0, 1): the same for both, or one each.
  rowsOf(head, operand) {
    const { operandTables, n } = this.sizes;
    return (head * operandTables + Math.min(operand, operandTables - 1)) * n;
  }

  // Everything that happens to a pair: pattern, activations, logits of the n answers and '='.
  forward(a, b) {
    const { heads, width, neurons, classes } = this.sizes;
    const { values, places, base, outputs, readout } = this.tables;
    const pattern = this.pattern(a, b);
    const columns = Float64Array.from(base);
    for (let head = 0; head < heads; head++) {
      const [ofA, ofB, ofEquals] = pattern[head];
      const [first, second] = [(this.rowsOf(head, 0) + a) * width, (this.rowsOf(head, 1) + b) * width];
      for (let d = 0; d < width; d++) {
        const place = (source) => places[(head * 3 + source) * width + d];
        const read = ofA * (values[first + d] + place(0)) + ofB * (values[second + d] + place(1)) + ofEquals * place(2);
        const row = (head * width + d) * (neurons + classes);
        for (let c = 0; c < neurons + classes; c++) columns[c] += read * outputs[row + c];
      }
    }
    const activations = columns.slice(0, neurons).map(this.activate);
    const logits = columns.slice(neurons);
    for (let i = 0; i < neurons; i++) {
      if (activations[i] === 0) continue;
      for (let c = 0; c < classes; c++) logits[c] += activations[i] * readout[i * classes + c];
    }
    return { pattern, activations, logits };
  }

  // Exponentials of the scores, by head and token: [first, second, equals]. A pattern is three of them over their sum.
  weights() {
    const { n, heads } = this.sizes;
    const { scores } = this.tables;
    return Array.from({ length: heads }, (_, head) => {
      const own = scores.subarray(head * 3 * n, (head + 1) * 3 * n);
      const largest = own.reduce((most, score) => Math.max(most, score), -Infinity);
      const exps = (from, to) => Float64Array.from(own.subarray(from, to), (score) => Math.exp(score - largest));
      return [exps(0, n), exps(n, 2 * n), exps(2 * n, 2 * n + 1)];
    });
  }

  // What each head writes into some columns, were all of its attention on a token as a, as b, or on '=': [head][source], token by
  // token.
  written(columns) {
    const { n, heads, width, neurons, classes } = this.sizes;
    const { values, places, outputs } = this.tables;
    const count = columns.length;
    return Array.from({ length: heads }, (_, head) => {
      const out = new Float64Array(width * count);
      for (let d = 0; d < width; d++) {
        for (let c = 0; c < count; c++) out[d * count + c] = outputs[(head * width + d) * (neurons + classes) + columns[c]];
      }
      return SOURCES.map((_, source) => {
        const tokens = source < 2 ? n : 1;
        const rows = new Float64Array(tokens * count);
        for (let token = 0; token < tokens; token++) {
          const from = source < 2 ? (this.rowsOf(head, source) + token) * width : 0;
          for (let d = 0; d < width; d++) {
            const read = (source < 2 ? values[from + d] : 0) + places[(head * 3 + source) * width + d];
            if (read === 0) continue;
            for (let c = 0; c < count; c++) rows[token * count + c] += read * out[d * count + c];
          }
        }
        return rows;
      });
    });
  }

  /**
   * Some columns for every pair, in row-major order: `visit(numbers, pair)`, whose numbers are overwritten by the next.
   * @param {ArrayLike<number>} columns
   * @param {(numbers: Float64Array, pair: number) => void} visit
   * @param {(pair: number) => boolean} isAsked whether a pair is visited at all
   */
  eachPair(columns, visit, isAsked = () => true) {
    const { n, heads } = this.sizes;
    const count = columns.length;
    const base = Float64Array.from(columns, (column) => this.tables.base[column]);
    const [weights, written] = [this.weights(), this.written(columns)];
    const numbers = new Float64Array(count);
    for (let a = 0; a < n; a++) {
      for (let b = 0; b < n; b++) {
        if (!isAsked(a * n + b)) continue;
        numbers.set(base);
        for (let head = 0; head < heads; head++) {
          const [first, second, equals] = weights[head];
          const [ofA, ofB, ofEquals] = written[head];
          const total = first[a] + second[b] + equals[0];
          const [x, y, z] = [first[a] / total, second[b] / total, equals[0] / total];
          const [rowA, rowB] = [a * count, b * count];
          for (let c = 0; c < count; c++) numbers[c] += x * ofA[rowA + c] + y * ofB[rowB + c] + z * ofEquals[c];
        }
        visit(numbers, a * n + b);
      }
    }
  }

  // The activation of one neuron for all pairs, [a, b] in row-major order.
  activationMap(neuron) {
    const map = new Float32Array(this.sizes.n ** 2);
    this.eachPair([neuron], ([input], pair) => (map[pair] = this.activate(input)));
    return map;
  }

  /**
   * How many pairs of each group it answers rightly, and the sum of their losses.
   * @param {Asked} asked the right answer and the group of each pair: groups from `count` on are not asked
   */
  outcome({ answers, groups, count }) {
    const { neurons, classes } = this.sizes;
    const readout = Float64Array.from(this.tables.readout);
    const [right, losses, totals] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)];
    const logits = new Float64Array(classes);
    const firing = new Int32Array(neurons);
    const fired = new Float64Array(neurons + 3); // padded: four neurons at a time
    const all = Int32Array.from({ length: neurons + classes }, (_, column) => column);
    this.eachPair(all, (numbers, pair) => {
      let firings = 0;
      for (let i = 0; i < neurons; i++) {
        const activation = this.activate(numbers[i]);
        if (activation === 0) continue;
        fired[firings] = activation;
        firing[firings++] = i * classes;
      }
      for (let c = 0; c < classes; c++) logits[c] = numbers[neurons + c];
      for (let i = 0; i < firings; i += 4) {
        const [w, x, y, z] = [fired[i], i + 1 < firings ? fired[i + 1] : 0, i + 2 < firings ? fired[i + 2] : 0, i + 3 < firings ? fired[i + 3] : 0];
        const last = firings - 1;
        const [o, p, q, r] = [firing[i], firing[Math.min(i + 1, last)], firing[Math.min(i + 2, last)], firing[Math.min(i + 3, last)]];
        for (let c = 0; c < classes; c++) {
          logits[c] += w * readout[o + c] + x * readout[p + c] + y * readout[q + c] + z * readout[r + c];
        }
      }
      let best = 0;
      for (let c = 1; c < classes; c++) if (logits[c] > logits[best]) best = c;
      let sum = 0;
      for (let c = 0; c < classes; c++) sum += Math.exp(logits[c] - logits[best]);
      const group = groups[pair];
      const answer = answers[pair];
      totals[group] += 1;
      losses[group] += Math.log(sum) + logits[best] - logits[answer];
      if (best === answer) right[group] += 1;
    }, (pair) => groups[pair] < count);
    return { right: [...right], losses: [...losses], totals: [...totals] };
  }

  /**
   * The network without some functions of the operands in its embedding: of each operand orthonormal ones, that sum to 0.
   * @param {Float64Array[][]} spans
   */
  withoutFunctions(spans) {
    const { n, heads, operandTables, width } = this.sizes;
    const scores = Float32Array.from(this.tables.scores);
    const values = Float32Array.from(this.tables.values);
    for (let head = 0; head < heads; head++) {
      for (const operand of [0, 1]) {
        const from = (head * 3 + operand) * n;
        takeOut(spans[operand], scores.subarray(from, from + n), 1);
        if (operand < operandTables) {
          const row = this.rowsOf(head, operand) * width;
          takeOut(spans[operand], values.subarray(row, row + n * width), width);
        }
      }
    }
    return this.with({ scores, values });
  }

  // The network in which some heads write their mean over all pairs.
  withHeadsAtMean(heads) {
    const { n, width, neurons, classes } = this.sizes;
    const { values, places } = this.tables;
    const outputs = Float32Array.from(this.tables.outputs);
    const base = Float32Array.from(this.tables.base);
    const weights = this.weights();
    for (const head of heads) {
      const [first, second, equals] = weights[head];
      const [toA, toB] = [new Float64Array(n), new Float64Array(n)];
      let toEquals = 0;
      for (let a = 0; a < n; a++) {
        for (let b = 0; b < n; b++) {
          const total = (first[a] + second[b] + equals[0]) * n * n;
          toA[a] += first[a] / total;
          toB[b] += second[b] / total;
          toEquals += equals[0] / total;
        }
      }
      for (let d = 0; d < width; d++) {
        const of = (operand, token) => values[(this.rowsOf(head, operand) + token) * width + d] + places[(head * 3 + operand) * width + d];
        let mean = toEquals * places[(head * 3 + 2) * width + d];
        for (let token = 0; token < n; token++) mean += toA[token] * of(0, token) + toB[token] * of(1, token);
        const row = (head * width + d) * (neurons + classes);
        for (let c = 0; c < neurons + classes; c++) base[c] += mean * outputs[row + c];
        outputs.fill(0, row, row + neurons + classes);
      }
    }
    return this.with({ outputs, base });
  }

  // The network in which some neurons have their mean over all pairs.
  withNeuronsAtMean(which) {
    const { n, neurons, classes } = this.sizes;
    const readout = Float32Array.from(this.tables.readout);
    const base = Float32Array.from(this.tables.base);
    const means = new Float64Array(which.length);
    this.eachPair(which, (numbers) => {
      for (let i = 0; i < which.length; i++) means[i] += this.activate(numbers[i]) / (n * n);
    });
    which.forEach((neuron, i) => {
      const row = neuron * classes;
      for (let c = 0; c < classes; c++) base[neurons + c] += means[i] * readout[row + c];
      readout.fill(0, row, row + classes);
    });
    return this.with({ readout, base });
  }
}

/**
 * Take the part along orthonormal functions of the token out of `width` functions, [token, d] in row-major order.
 * @param {Float64Array[]} span
 * @param {Float32Array} functions
 * @param {number} width
 */
function takeOut(span, functions, width) {
  const weights = new Float64Array(width);
  for (const row of span) {
    weights.fill(0);
    row.forEach((x, token) => {
      for (let d = 0; d < width; d++) weights[d] += x * functions[token * width + d];
    });
    row.forEach((x, token) => {
      for (let d = 0; d < width; d++) functions[token * width + d] -= x * weights[d];
    });
  }
}

/**
 * Orthonormal functions that span what the given ones span.
 * @param {ArrayLike<number>[]} functions
 */
function spanned(functions) {
  const span = [];
  for (const each of functions) {
    const rest = Float64Array.from(each);
    for (const row of [...span, ...span]) { // twice, against rounding
      const along = row.reduce((sum, x, i) => sum + x * rest[i], 0);
      row.forEach((x, i) => (rest[i] -= along * x));
    }
    const size = Math.hypot(...rest);
    if (size > 1e-4 * Math.hypot(...Array.from(each))) span.push(rest.map((x) => x / size));
  }
  return span;
}

/**
 * A function by its values at equal steps: straight lines through them, and on beyond the ends.
 * @param {Json.ActivationData} activation
 */
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
