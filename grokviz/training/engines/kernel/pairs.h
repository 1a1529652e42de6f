// From tables to the loss over a batch of pairs, and back. In float32, but for the softmaxes and the loss.
//
// For pair (a, b) with the pattern (alpha, beta, 1 - alpha - beta) of each head, a column is
//     h = base + sum over heads of alpha first[a] + beta second[b].
// Forward, a block of pairs is a task; it leaves loss and dlogits. Backward, a chunk of columns is a task; it builds h
// again, which is cheaper than to fetch it. Sums cross tasks in a fixed order only, so all is the same for any number
// of threads. The ReLU leaves about half of the numbers zero: products skip them, by masks of bits.

#pragma once

#include <type_traits>
#include <vector>

#include "shape.h"

// What depends on the weights alone: one row a token.
struct Tables {
    const Shape shape;
    const int row;                          // floats between rows of classes, an odd number of lines
    Array<float> first, second;             // [chunk, token, head, column], of both operands
    Array<float> base;                      // [column]
    Array<float> readout, turned_readout;   // [neuron, class], [chunk, class, neuron of it]
    Array<double> scores;                   // [row, head], before the softmax

    explicit Tables(const Shape& shape)
        : shape(shape), row(shape.class_chunks() * chunk + line / (int)sizeof(float)), first(size()), second(size()), base((size_t)shape.chunks() * chunk),
          readout((size_t)shape.neuron_chunks() * chunk * row), turned_readout((size_t)shape.neuron_chunks() * shape.n_classes * chunk),
          scores((size_t)shape.rows() * shape.n_heads) {}

    size_t size() const { return (size_t)shape.chunks() * shape.n_tokens * shape.n_heads * chunk; }
    size_t at(int q, int token) const { return ((size_t)q * shape.n_tokens + token) * shape.n_heads * chunk; }
    float* turned(int q) const { return turned_readout + (size_t)q * shape.n_classes * chunk; }
};

class Pairs {
    static constexpr int vectors = chunk / width;
    static constexpr int group = 8;  // vectors of classes that are held in registers
    const Shape shape;
    const int row, row_vectors;  // floats of a row of logits; vectors of it that hold classes
    std::vector<int> first, second, answer;
    Array<float> pattern;    // [pair, operand, head]
    Array<float> logits;     // [pair, class], in whose place the forward pass leaves dlogits
    Array<float> d_pattern;  // [chunk, pair, operand, head]
    Array<double> losses;    // [pair]
    Array<unsigned char> correct;

    const Tables& tables;

  public:
    // What the backward pass leaves.
    Array<float> d_first, d_second;  // of the tables: [chunk, token, head, column]
    Array<float> d_readout;          // [neuron, class]

    Pairs(const Shape& shape, const Tables& tables, const int64_t* pairs, const int64_t* answers, bool gradients)
        : shape(shape), row(tables.row), row_vectors(up_to(width, shape.n_classes) / width),
          pattern((size_t)shape.n_pairs * 2 * shape.n_heads), logits((size_t)shape.blocks() * block * row),
          d_pattern(gradients ? (size_t)shape.chunks() * shape.n_pairs * 2 * shape.n_heads : 0), losses(shape.n_pairs),
          correct(shape.n_pairs), tables(tables), d_first(gradients ? tables.size() : 0), d_second(gradients ? tables.size() : 0),
          d_readout(gradients ? (size_t)shape.neuron_chunks() * chunk * row : 0) {
        for (int i = 0; i < shape.n_pairs; i++) {
            first.push_back((int)pairs[2 * i]);
            second.push_back((int)pairs[2 * i + 1]);
            answer.push_back((int)answers[i]);
        }
    }

    double loss() const {
        double total = 0;
        for (int i = 0; i < shape.n_pairs; i++) total += losses[i];
        return total / shape.n_pairs;
    }

    double accuracy() const {
        long right = 0;
        for (int i = 0; i < shape.n_pairs; i++) right += correct[i];
        return (double)right / shape.n_pairs;
    }

    // Losses of the pairs of a block, and their dlogits where `gradients` are wanted.
    void forward(int index, bool gradients) {
        const int begin = index * block, end = std::min(begin + block, shape.n_pairs);
        Floats built[vectors];
        Array<double> scratch(up_to(line, std::max(3 * shape.n_heads, row)));
        for (int i = begin; i < end; i++) {
            attend(i, scratch + 0);
            for (int q = shape.neuron_chunks(); q < shape.chunks(); q++) {
                columns_of(q, i, built);
                for (int k = 0; k < vectors; k++) store(logits_of(i) + shape.first_of(q) + k * width, built[k]);
            }
        }
        alignas(line) float neurons[block][chunk];
        uint64_t active[block];
        for (int q = 0; q < shape.neuron_chunks(); q++) {
            for (int i = begin; i < end; i++) active[i - begin] = activate(q, i, neurons[i - begin]);
            by_groups([&](auto n, int c) {
                for (int i = begin; i < end; i++)
                    add_neurons<n>(logits_of(i) + c, tables.readout + (size_t)q * chunk * row + c, neurons[i - begin], active[i - begin]);
            });
        }
        for (int i = begin; i < end; i++) score(i, scratch + 0, gradients);
    }

    // From dlogits to the gradients of chunk q: of both tables, the readout, and the base, which is returned.
    void backward(int q, double d_base[chunk]) {
        std::fill_n(d_first + tables.at(q, 0), (size_t)shape.n_tokens * shape.n_heads * chunk, 0.0f);
        std::fill_n(d_second + tables.at(q, 0), (size_t)shape.n_tokens * shape.n_heads * chunk, 0.0f);
        std::fill_n(d_base, chunk, 0.0);
        if (shape.is_neurons(q)) std::fill_n(d_readout + (size_t)q * chunk * row, (size_t)chunk * row, 0.0f);
        alignas(line) float d_columns[block][chunk];
        for (int begin = 0; begin < shape.n_pairs; begin += block) {
            const int n = std::min(block, shape.n_pairs - begin);
            if (shape.is_neurons(q))
                back_through_neurons(q, begin, n, d_columns);
            else
                for (int i = 0; i < n; i++) std::copy_n(logits_of(begin + i) + shape.first_of(q), chunk, d_columns[i]);
            back_through_columns(q, begin, n, d_columns, d_base);
        }
    }

    // The gradient of a head's scores, row by row, after all chunks.
    void back_through_pattern(int head, double* d_scores) const {
        std::fill_n(d_scores, shape.rows(), 0.0);
        const int n = shape.n_heads;
        for (int i = 0; i < shape.n_pairs; i++) {
            const double alpha = pattern[(size_t)i * 2 * n + head], beta = pattern[(size_t)i * 2 * n + n + head];
            double d_alpha = 0, d_beta = 0;
            for (int q = 0; q < shape.chunks(); q++) {
                const float* part = d_pattern + ((size_t)q * shape.n_pairs + i) * 2 * n + head;
                d_alpha += part[0];
                d_beta += part[n];
            }
            const double mean = alpha * d_alpha + beta * d_beta;  // that of '=' is 0: it stands in the base
            d_scores[first[i]] += alpha * (d_alpha - mean);
            d_scores[second[i]] += beta * (d_beta - mean);
            d_scores[shape.n_tokens] += alpha * (d_alpha - mean);
            d_scores[shape.n_tokens + 1] += beta * (d_beta - mean);
        }
    }

  private:
    float* logits_of(int i) const { return logits + (size_t)i * row; }

    // The pattern of pair i: the softmax over a, b and '=', the scores being counted from that of '='. `scratch` holds three
    // numbers a head, and whole vectors.
    void attend(int i, double* scratch) {
        const int n = shape.n_heads;
        double *of_a = scratch, *of_b = scratch + n, *of_equals = scratch + 2 * n;
        const double *at_a = tables.scores + (size_t)first[i] * n, *at_b = tables.scores + (size_t)second[i] * n;
        const double *in_all_a = tables.scores + (size_t)shape.n_tokens * n, *in_all_b = in_all_a + n;
        for (int head = 0; head < n; head++) {
            const double a = at_a[head] + in_all_a[head], b = at_b[head] + in_all_b[head], most = std::max(std::max(a, b), 0.0);
            of_a[head] = a - most;
            of_b[head] = b - most;
            of_equals[head] = -most;
        }
        for (int j = 0; j < 3 * n; j += lanes<double>) store(scratch + j, exponential(load(scratch + j)));
        float* to = pattern + (size_t)i * 2 * n;
        for (int head = 0; head < n; head++) {
            const double total = of_a[head] + of_b[head] + of_equals[head];
            to[head] = (float)(of_a[head] / total);
            to[n + head] = (float)(of_b[head] / total);
        }
    }

    void columns_of(int q, int i, Floats out[vectors]) const {
        const float *of_a = tables.first + tables.at(q, first[i]), *of_b = tables.second + tables.at(q, second[i]);
        const float* weight = pattern + (size_t)i * 2 * shape.n_heads;
        for (int k = 0; k < vectors; k++) out[k] = load(tables.base + (size_t)q * chunk + k * width);
        for (int head = 0; head < shape.n_heads; head++, of_a += chunk, of_b += chunk) {
            const Floats alpha = all(weight[head]), beta = all(weight[shape.n_heads + head]);
            for (int k = 0; k < vectors; k++) out[k] += alpha * load(of_a + k * width) + beta * load(of_b + k * width);
        }
    }

    // The neurons of chunk q after the ReLU, and a bit for each that is active.
    uint64_t activate(int q, int i, float neurons[chunk]) const {
        Floats built[vectors];
        columns_of(q, i, built);
        uint64_t active = 0;
        for (int k = 0; k < vectors; k++) {
            active |= active_lanes(built[k]) << (k * width);
            store(neurons + k * width, built[k] <= 0 ? Floats{} : built[k]);
        }
        return active;
    }

    // what(n, c) for groups of n vectors of classes, the first being class c; n is a constant, so that they stay in registers.
    template <class What>
    void by_groups(What what) const {
        for (int k = 0; k < row_vectors; k += group) switch (std::min(group, row_vectors - k)) {
                case 1: what(std::integral_constant<int, 1>(), k * width); break;
                case 2: what(std::integral_constant<int, 2>(), k * width); break;
                case 3: what(std::integral_constant<int, 3>(), k * width); break;
                case 4: what(std::integral_constant<int, 4>(), k * width); break;
                case 5: what(std::integral_constant<int, 5>(), k * width); break;
                case 6: what(std::integral_constant<int, 6>(), k * width); break;
                case 7: what(std::integral_constant<int, 7>(), k * width); break;
                default: what(std::integral_constant<int, group>(), k * width);
            }
    }

    // logits += active neurons times their rows of the readout, for n vectors of classes.
    template <int n>
    void add_neurons(float* to, const float* rows, const float* neurons, uint64_t active) const {
        Floats totals[n] = {};
        for (; active; active &= active - 1) {
            const int j = __builtin_ctzll(active);
            const Floats value = all(neurons[j]);
            for (int k = 0; k < n; k++) totals[k] += value * load(rows + (size_t)j * row + k * width);
        }
        for (int k = 0; k < n; k++) store(to + k * width, load(to + k * width) + totals[k]);
    }

    // A neuron's row of d_readout += its values times dlogits, over the pairs of a block for which it is active.
    template <int n>
    void add_pairs(float* to, const float* dlogits, const float* values, uint64_t active) const {
        Floats totals[n] = {};
        for (; active; active &= active - 1) {
            const int i = __builtin_ctzll(active);
            const Floats value = all(values[(size_t)i * chunk]);
            for (int k = 0; k < n; k++) totals[k] += value * load(dlogits + (size_t)i * row + k * width);
        }
        for (int k = 0; k < n; k++) store(to + k * width, load(to + k * width) + totals[k]);
    }

    // Loss and correctness of pair i, and its dlogits in place of its logits. In float64.
    void score(int i, double* exponentials, bool gradients) {
        float* mine = logits_of(i);
        const int held = row_vectors * width, right = answer[i];
        std::fill(mine + shape.n_classes, mine + held, -INFINITY);
        Floats by_lane = load(mine);
        for (int c = width; c < held; c += width) by_lane = load(mine + c) > by_lane ? load(mine + c) : by_lane;
        const float most = largest<width>((const float*)&by_lane);
        bool earlier = false;  // another class has as large a logit, and stands before the answer
        for (int c = 0; c < right; c++) earlier |= mine[c] == most;

        Doubles parts{};
        for (int c = 0; c < held; c += lanes<double>) {
            const Doubles logits = __builtin_convertvector(*(const HalfFloats*)(mine + c), Doubles);
            const Doubles powers = exponential(logits - (double)most);
            store(exponentials + c, powers);
            parts += powers;
        }
        double total = 0;
        for (int j = 0; j < lanes<double>; j++) total += parts[j];
        losses[i] = std::log(total) + ((double)most - mine[right]);
        correct[i] = mine[right] == most && !earlier;
        if (!gradients) return;
        const double scale = 1.0 / (total * shape.n_pairs);
        for (int c = 0; c < held; c += lanes<double>) {
            const Doubles shares = load(exponentials + c) * scale;
            *(HalfFloats*)(mine + c) = __builtin_convertvector(shares > 1e-35 ? shares : Doubles{}, HalfFloats);  // denormals are slow
        }
        mine[right] = (float)((exponentials[right] - total) * scale);
        std::fill(mine + shape.n_classes, mine + held, 0.0f);
    }

    // From dlogits of a block to d_readout, and to d_columns: back through the readout and the ReLU.
    void back_through_neurons(int q, int begin, int n, float d_columns[block][chunk]) {
        alignas(line) float neurons[block][chunk];
        uint64_t active[block] = {};
        for (int i = 0; i < n; i++) active[i] = activate(q, begin + i, neurons[i]);
        multiply<2>(Strided<float>{logits_of(begin), (size_t)row, 1}, tables.turned(q), chunk, d_columns[0], chunk, n, shape.n_classes, chunk);
        for (int i = 0; i < n; i++)
            for (int k = 0; k < chunk; k += width)
                store(d_columns[i] + k, load(neurons[i] + k) <= 0 ? Floats{} : load(d_columns[i] + k));
        transpose_bits(active);
        by_groups([&](auto n_vectors, int c) {
            for (int j = 0; j < shape.count_of(q); j++)
                add_pairs<n_vectors>(d_readout + (size_t)(q * chunk + j) * row + c, logits_of(begin) + c, &neurons[0][j], active[j]);
        });
    }

    // From d_columns to both tables, the pattern and the base.
    void back_through_columns(int q, int begin, int n, float d_columns[block][chunk], double d_base[chunk]) {
        Floats d_base_part[vectors] = {};
        for (int i = begin; i < begin + n; i++) {
            const float* weight = pattern + (size_t)i * 2 * shape.n_heads;
            float* to = d_pattern + ((size_t)q * shape.n_pairs + i) * 2 * shape.n_heads;
            Floats d[vectors];
            for (int k = 0; k < vectors; k++) d_base_part[k] += d[k] = load(d_columns[i - begin] + k * width);
            for (int head = 0; head < shape.n_heads; head++) {
                const size_t at_a = tables.at(q, first[i]) + head * chunk, at_b = tables.at(q, second[i]) + head * chunk;
                const Floats alpha = all(weight[head]), beta = all(weight[shape.n_heads + head]);
                Floats along_a{}, along_b{};
                for (int k = 0; k < vectors; k++) {
                    float *to_a = d_first + at_a + k * width, *to_b = d_second + at_b + k * width;
                    along_a += d[k] * load(tables.first + at_a + k * width);
                    along_b += d[k] * load(tables.second + at_b + k * width);
                    store(to_a, load(to_a) + alpha * d[k]);
                    store(to_b, load(to_b) + beta * d[k]);
                }
                to[head] = sum<width>((const float*)&along_a);
                to[shape.n_heads + head] = sum<width>((const float*)&along_b);
            }
        }
        for (int k = 0; k < vectors; k++)
            for (int j = 0; j < width; j++) d_base[k * width + j] += d_base_part[k][j];
    }
};
