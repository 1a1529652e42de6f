// From weights to tables, and from the tables' gradients back to the weights'.
//
// Only '=' asks and only it is read, so what a head carries there from a source is linear in that source:
//     rows = (W_E[token]..., W_pos[0] - r2, W_pos[1] - r2, r2)    with r2 = W_E[=] + W_pos[2]
//     table of a head = rows W_V W_O (W_in | W_U)                 its scores = rows W_K (W_Q r2) / sqrt(d_head)
//     readout = W_out W_U                                         base = r2 (W_in | W_U) + (b_in | b_out W_U)
// A head then weighs for the operand a the sum of the rows a and W_pos[0] - r2: its value less that of '='. For b likewise;
// the value of '=' itself goes into the base. A task is a chunk of columns or a head; what several tasks add up to is
// kept apart, and summed in their order. Tables are computed in float64, so that rounding turns few neurons on or off;
// gradients in float32, but for those that a whole sum hangs on.

#pragma once

#include "matrix.h"
#include "pairs.h"

// The weights, or their gradients, as TransformerLens lays them out. The biases may be null.
struct Parameters {
    float *W_E, *W_pos, *W_Q, *W_K, *W_V, *W_O, *W_in, *W_out, *W_U, *b_in, *b_out;
};

class Folding {
    const Shape s;
    const int E, R;  // columns of a head in the matrices of all heads; rows
    const Parameters weight, gradient;
    Tables& tables;

    // In float64 for the tables, in float32 for the gradients.
    Matrix<double> rows;                   // [row, d_model]
    Matrix<double> values_in, values_out;  // W_V: [d_model, head d_head]; W_O: [head d_head, d_model]
    Matrix<double> values;                 // rows W_V: [row, head d_head]
    Matrix<double> classes;                // W_U turned: [class, d_model]
    Matrix<double> query, direction;       // W_Q r2 / sqrt(d_head), and W_K times it: [head, d_head], [head, d_model]
    Matrix<float> rows_32, values_back_32, values_out_32, values_32, classes_32;  // values_back: W_V turned

    struct Chunk {
        Matrix<double> into;                              // its columns of (W_in | W_U): [d_model, column]
        Matrix<double> out;                               // W_O times them: [head d_head, column]
        Matrix<double> neurons_out;                       // its neurons of W_out, turned: [d_model, neuron]
        Matrix<float> into_turned_32, neurons_out_32;     // [column, d_model], [d_model, neuron]
        Matrix<float> d_values, d_values_out, d_classes;  // its part of the gradients of values, W_O and W_U
        double d_base[chunk];
    };
    std::vector<Chunk> of_chunk;

    struct Head {
        Matrix<float> d_rows;          // its part of the gradient of rows
        std::vector<double> d_equals;  // and, through the query, of r2
    };
    std::vector<Head> of_head;

  public:
    Folding(const Shape& shape, Parameters weight, Parameters gradient, Tables& tables)
        : s(shape), E(Matrix<float>::whole(s.d_head)), R(s.rows()), weight(weight), gradient(gradient), tables(tables), rows(R, s.d_model),
          values_in(s.d_model, s.n_heads * E), values_out(s.n_heads * E, s.d_model), values(R, s.n_heads * E),
          classes(s.n_classes, s.d_model), query(s.n_heads, s.d_head), direction(s.n_heads, s.d_model), rows_32(R, s.d_model),
          values_back_32(s.n_heads * E, s.d_model), values_out_32(s.n_heads * E, s.d_model), values_32(R, s.n_heads * E),
          classes_32(s.n_classes, s.d_model), of_chunk(s.chunks()), of_head(s.n_heads) {
        for (Chunk& mine : of_chunk) {
            mine.into = Matrix<double>(s.d_model, chunk);
            mine.out = Matrix<double>(s.n_heads * E, chunk);
            mine.neurons_out = Matrix<double>(s.d_model, chunk);
            mine.into_turned_32 = Matrix<float>(chunk, s.d_model);
            mine.neurons_out_32 = Matrix<float>(s.d_model, chunk);
            mine.d_values = Matrix<float>(R, s.n_heads * E);
            mine.d_values_out = Matrix<float>(s.n_heads * E, s.d_model);
            mine.d_classes = Matrix<float>(s.d_model, s.class_chunks() * chunk);
        }
        for (Head& mine : of_head) mine = {Matrix<float>(R, s.d_model), std::vector<double>(s.d_model)};
    }

    // First, what all heads and chunks read.
    void take_rows() {
        const float *equals = weight.W_E + (size_t)s.n_tokens * s.d_model, *position = weight.W_pos;
        for (int token = 0; token < s.n_tokens; token++) std::copy_n(weight.W_E + (size_t)token * s.d_model, s.d_model, rows[token]);
        for (int d = 0; d < s.d_model; d++) {
            const double r2 = (double)equals[d] + position[2 * s.d_model + d];
            rows[s.n_tokens][d] = position[d] - r2;
            rows[s.n_tokens + 1][d] = position[s.d_model + d] - r2;
            rows[s.n_tokens + 2][d] = r2;
        }
        for (int r = 0; r < R; r++) std::copy_n(rows[r], s.d_model, rows_32[r]);
        transpose(weight.W_U, s.d_model, s.n_classes, s.n_classes, classes.all());
        transpose(weight.W_U, s.d_model, s.n_classes, s.n_classes, classes_32.all());
    }

    // Then every head.
    void take_head(int h) {
        const size_t of_head = (size_t)h * s.d_model * s.d_head;
        const float *W_Q = weight.W_Q + of_head, *W_K = weight.W_K + of_head, *W_V = weight.W_V + of_head, *W_O = weight.W_O + of_head;
        for (int d = 0; d < s.d_model; d++) std::copy_n(W_V + (size_t)d * s.d_head, s.d_head, values_in[d] + h * E);
        transpose(W_V, s.d_model, s.d_head, s.d_head, values_back_32.at(h * E, 0));
        for (int e = 0; e < s.d_head; e++) {
            std::copy_n(W_O + (size_t)e * s.d_model, s.d_model, values_out[h * E + e]);
            std::copy_n(W_O + (size_t)e * s.d_model, s.d_model, values_out_32[h * E + e]);
        }
        product(rows.all(), values_in.at(0, h * E), values.at(0, h * E), R, s.d_model, s.d_head);
        for (int r = 0; r < R; r++) std::copy_n(values[r] + h * E, s.d_head, values_32[r] + h * E);

        std::fill_n(query[h], s.d_head, 0.0);
        for (int d = 0; d < s.d_model; d++)
            for (int e = 0; e < s.d_head; e++) query[h][e] += r2()[d] * W_Q[(size_t)d * s.d_head + e] / std::sqrt((double)s.d_head);
        for (int d = 0; d < s.d_model; d++) direction[h][d] = dot(query[h], W_K + (size_t)d * s.d_head, s.d_head);
        for (int r = 0; r < R; r++) tables.scores[(size_t)r * s.n_heads + h] = dot(rows[r], direction[h], s.d_model);
    }

    // Then every chunk, which completes the tables.
    void take_chunk(int q) {
        Chunk& mine = of_chunk[q];
        const int n = s.count_of(q), from = s.first_of(q);
        const float* columns = (s.is_neurons(q) ? weight.W_in : weight.W_U) + from;
        const int columns_row = s.is_neurons(q) ? s.n_neurons : s.n_classes;
        for (int d = 0; d < s.d_model; d++) std::copy_n(columns + (size_t)d * columns_row, n, mine.into[d]);
        transpose(columns, s.d_model, n, columns_row, mine.into_turned_32.all());
        product(values_out.all(), mine.into.all(), mine.out.all(), s.n_heads * E, s.d_model, chunk);

        double base[chunk] = {};
        for (int d = 0; d < s.d_model; d++)
            for (int j = 0; j < chunk; j++) base[j] += read_at(q, d) * mine.into[d][j];
        if (s.is_neurons(q) && weight.b_in)
            for (int j = 0; j < n; j++) base[j] += weight.b_in[from + j];
        Matrix<double> table(R, chunk);
        for (int h = 0; h < s.n_heads; h++) {
            product(values.at(0, h * E), mine.out.at(h * E, 0), table.all(), R, s.d_head, chunk);
            const double *of_a = table[s.n_tokens], *of_b = table[s.n_tokens + 1], *of_equals = table[s.n_tokens + 2];
            for (int token = 0; token < s.n_tokens; token++) {
                float *first = tables.first + tables.at(q, token) + h * chunk, *second = tables.second + tables.at(q, token) + h * chunk;
                const double* of_token = table[token];
                for (int j = 0; j < chunk; j++) {
                    first[j] = (float)(of_token[j] + of_a[j]);
                    second[j] = (float)(of_token[j] + of_b[j]);
                }
            }
            for (int j = 0; j < chunk; j++) base[j] += of_equals[j];
        }
        std::copy_n(base, chunk, tables.base + (size_t)q * chunk);
        if (s.is_neurons(q)) take_readout(q);
    }

    // Back: first every chunk, from the gradients of its tables to those of its weights.
    void give_chunk(int q, const Pairs& pairs) {
        Chunk& mine = of_chunk[q];
        const int n = s.count_of(q), from = s.first_of(q);
        Matrix<float> d_table(R, chunk), d_out(s.n_heads * E, chunk), out_turned(chunk, s.n_heads * E), d_into(s.d_model, chunk);
        transpose(mine.out[0], s.n_heads * E, chunk, mine.out.all().row, out_turned.all());
        for (int h = 0; h < s.n_heads; h++) {
            gather_d_table(q, h, pairs, d_table);
            product(d_table.all(), out_turned.at(0, h * E), mine.d_values.at(0, h * E), R, chunk, s.d_head);
            product(values_32.at(0, h * E).turned(), d_table.all(), d_out.at(h * E, 0), s.d_head, R, chunk);
        }
        product(d_out.all(), mine.into_turned_32.all(), mine.d_values_out.all(), s.n_heads * E, chunk, s.d_model);
        product(values_out_32.all().turned(), d_out.all(), d_into.all(), s.d_model, s.n_heads * E, chunk);
        for (int d = 0; d < s.d_model; d++)
            for (int j = 0; j < chunk; j++) d_into[d][j] += (float)(read_at(q, d) * mine.d_base[j]);
        if (s.is_neurons(q)) {
            for (int d = 0; d < s.d_model; d++) std::copy_n(d_into[d], n, gradient.W_in + (size_t)d * s.n_neurons + from);
            if (gradient.b_in) std::copy_n(mine.d_base, n, gradient.b_in + from);
            give_readout(q, pairs);
        } else {
            for (int d = 0; d < s.d_model; d++) std::copy_n(d_into[d], chunk, mine.d_classes[d] + from);
        }
    }

    double* d_base(int q) { return of_chunk[q].d_base; }

    // Then every head, and the classes.
    void give_head(int h, const Pairs& pairs) {
        const size_t of_head = (size_t)h * s.d_model * s.d_head;
        const float *W_Q = weight.W_Q + of_head, *W_K = weight.W_K + of_head;
        Head& mine = this->of_head[h];
        Matrix<float> d_values(R, s.d_head), d_values_in(s.d_model, s.d_head), d_values_out(s.d_head, s.d_model);
        for (Chunk& part : of_chunk) {
            for (int r = 0; r < R; r++) add(d_values[r], part.d_values[r] + h * E, s.d_head);
            for (int e = 0; e < s.d_head; e++) add(d_values_out[e], part.d_values_out[h * E + e], s.d_model);
        }
        product(rows_32.all().turned(), d_values.all(), d_values_in.all(), s.d_model, R, s.d_head);
        product(d_values.all(), values_back_32.at(h * E, 0), mine.d_rows.all(), R, s.d_head, s.d_model);

        std::vector<double> d_scores(R), d_direction(s.d_model), d_query(s.d_head);
        pairs.back_through_pattern(h, d_scores.data());
        for (int r = 0; r < R; r++)
            for (int d = 0; d < s.d_model; d++) {
                d_direction[d] += d_scores[r] * rows[r][d];
                mine.d_rows[r][d] += (float)(d_scores[r] * direction[h][d]);
            }
        for (int d = 0; d < s.d_model; d++)
            for (int e = 0; e < s.d_head; e++) d_query[e] += d_direction[d] * W_K[(size_t)d * s.d_head + e] / std::sqrt((double)s.d_head);
        for (int d = 0; d < s.d_model; d++) {
            const size_t at = of_head + (size_t)d * s.d_head;
            mine.d_equals[d] = dot(d_query.data(), W_Q + (size_t)d * s.d_head, s.d_head);
            for (int e = 0; e < s.d_head; e++) {
                gradient.W_Q[at + e] = (float)(r2()[d] * d_query[e]);
                gradient.W_K[at + e] = (float)(d_direction[d] * query[h][e]);
            }
            std::copy_n(d_values_in[d], s.d_head, gradient.W_V + at);
        }
        for (int e = 0; e < s.d_head; e++) std::copy_n(d_values_out[e], s.d_model, gradient.W_O + of_head + (size_t)e * s.d_model);
    }

    void give_classes() {
        Matrix<float> total(s.d_model, s.n_classes);
        for (Chunk& part : of_chunk)
            for (int d = 0; d < s.d_model; d++) add(total[d], part.d_classes[d], s.n_classes);
        for (int d = 0; d < s.d_model; d++) std::copy_n(total[d], s.n_classes, gradient.W_U + (size_t)d * s.n_classes);
    }

    // Last, the gradients of W_E, W_pos and b_out.
    void give_rows() {
        Matrix<double> d_rows(R, s.d_model);
        std::vector<double> d_equals(s.d_model), d_out(s.d_model);
        for (Head& part : of_head) {
            for (int r = 0; r < R; r++) add(d_rows[r], part.d_rows[r], s.d_model);
            add(d_equals.data(), part.d_equals.data(), s.d_model);
        }
        for (int q = 0; q < s.chunks(); q++)
            for (int j = 0; j < s.count_of(q); j++) {
                double* to = (s.is_neurons(q) ? d_equals : d_out).data();
                const float* column = of_chunk[q].into_turned_32[j];
                for (int d = 0; d < s.d_model; d++) to[d] += of_chunk[q].d_base[j] * column[d];
            }
        for (int token = 0; token < s.n_tokens; token++)
            std::copy_n(d_rows[token], s.d_model, gradient.W_E + (size_t)token * s.d_model);
        const double *of_a = d_rows[s.n_tokens], *of_b = d_rows[s.n_tokens + 1], *of_equals = d_rows[s.n_tokens + 2];
        for (int d = 0; d < s.d_model; d++) {
            const double d_r2 = d_equals[d] + d_out[d] + of_equals[d] - of_a[d] - of_b[d];
            gradient.W_pos[d] = (float)of_a[d];
            gradient.W_pos[s.d_model + d] = (float)of_b[d];
            gradient.W_pos[2 * s.d_model + d] = (float)d_r2;
            gradient.W_E[(size_t)s.n_tokens * s.d_model + d] = (float)d_r2;
        }
        if (gradient.b_out) std::copy_n(d_out.data(), s.d_model, gradient.b_out);
    }

  private:
    const double* r2() { return rows[s.n_tokens + 2]; }
    // What the columns of chunk q read beside the heads: r2, and b_out where they are classes.
    double read_at(int q, int d) { return r2()[d] + (!s.is_neurons(q) && weight.b_out ? weight.b_out[d] : 0); }

    template <class T, class From>
    static void add(T* to, const From* values, int n) {
        for (int i = 0; i < n; i++) to[i] += values[i];
    }
    template <class T>
    static double dot(const double* a, const T* b, int n) {
        double total = 0;
        for (int i = 0; i < n; i++) total += a[i] * b[i];
        return total;
    }

    void take_readout(int q) {
        Chunk& mine = of_chunk[q];
        const int n = s.count_of(q), from = s.first_of(q);
        transpose(weight.W_out + (size_t)from * s.d_model, n, s.d_model, s.d_model, mine.neurons_out.all());
        for (int d = 0; d < s.d_model; d++) std::copy_n(mine.neurons_out[d], n, mine.neurons_out_32[d]);
        Matrix<double> readout(s.n_classes, chunk);  // turned: [class, neuron]
        product(classes.all(), mine.neurons_out.all(), readout.all(), s.n_classes, s.d_model, chunk);
        float* turned = tables.turned(q);
        for (int c = 0; c < s.n_classes; c++) std::copy_n(readout[c], chunk, turned + (size_t)c * chunk);
        transpose(turned, s.n_classes, n, chunk, View<float>{tables.readout + (size_t)from * tables.row, (size_t)tables.row, 1});
    }

    void give_readout(int q, const Pairs& pairs) {
        Chunk& mine = of_chunk[q];
        const int from = s.first_of(q);
        const View<float> d_readout{pairs.d_readout + (size_t)from * tables.row, (size_t)tables.row, 1};
        Matrix<float> d_out(chunk, s.d_model);
        product(d_readout, classes_32.all(), d_out.all(), chunk, s.n_classes, s.d_model);
        for (int j = 0; j < s.count_of(q); j++) std::copy_n(d_out[j], s.d_model, gradient.W_out + (size_t)(from + j) * s.d_model);
        product(mine.neurons_out_32.all(), d_readout, mine.d_classes.all(), s.d_model, chunk, s.class_chunks() * chunk);
    }

    // The gradient of a head's table: of both operands', and of the rows that are in every token's.
    void gather_d_table(int q, int h, const Pairs& pairs, Matrix<float>& to) {
        double of_a[chunk] = {}, of_b[chunk] = {};
        for (int token = 0; token < s.n_tokens; token++) {
            const size_t at = tables.at(q, token) + h * chunk;
            float* row = to[token];
            for (int j = 0; j < chunk; j++) {
                row[j] = pairs.d_first[at + j] + pairs.d_second[at + j];
                of_a[j] += pairs.d_first[at + j];
                of_b[j] += pairs.d_second[at + j];
            }
        }
        std::copy_n(of_a, chunk, to[s.n_tokens]);
        std::copy_n(of_b, chunk, to[s.n_tokens + 1]);
        std::copy_n(of_chunk[q].d_base, chunk, to[s.n_tokens + 2]);
    }
};
