// The sizes of a network and a batch, and how columns and pairs are cut up.

#pragma once

#include <algorithm>

#include "vectors.h"

constexpr int chunk = 64;  // columns of a task: a neuron's pre-activation or a class's direct logit each
constexpr int block = 64;  // pairs that are handled at once

struct Shape {
    int n_pairs, n_tokens, n_heads, d_model, d_head, n_neurons, n_classes;

    int rows() const { return n_tokens + 3; }  // of a table: the tokens, then the three that `Tables` names
    int neuron_chunks() const { return up_to(chunk, n_neurons) / chunk; }
    int class_chunks() const { return up_to(chunk, n_classes) / chunk; }
    int chunks() const { return neuron_chunks() + class_chunks(); }
    int blocks() const { return up_to(block, n_pairs) / block; }
    bool is_neurons(int q) const { return q < neuron_chunks(); }
    // The first neuron or class of chunk q, and how many it has.
    int first_of(int q) const { return (is_neurons(q) ? q : q - neuron_chunks()) * chunk; }
    int count_of(int q) const { return std::min(chunk, (is_neurons(q) ? n_neurons : n_classes) - first_of(q)); }
};
