// AdamW (Loshchilov & Hutter 2019) in float32, as torch computes it, in one pass over everything. What would be smaller than the
// smallest normal number becomes 0: processors take many times as long over such numbers, of which a collapsed network is full.

#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>

// A parameter, its gradient, and the moments that the optimiser keeps of it, which lie alike in memory.
struct Updated {
    float* __restrict parameter;
    const float* __restrict gradient;
    float *__restrict mean, *__restrict square;
    int64_t size;
};

// What of the formula is the same for all numbers at update t: the factors 1 - lr wd, 1 - beta_1, beta_2, 1 - beta_2, lr / (1 - beta_1^t)
// and 1 / sqrt(1 - beta_2^t); and epsilon.
struct Rates {
    float decay, to_mean, square_kept, to_square, step, root, epsilon;
};

constexpr int64_t stretch = 8192;  // numbers of a task

inline float flushed(float x) { return x > -FLT_MIN && x < FLT_MIN ? 0.0f : x; }

inline void adamw(const Updated& of, int64_t begin, int64_t end, const Rates& rates) {
    float *__restrict parameter = of.parameter, *__restrict mean = of.mean, *__restrict square = of.square;
    const float* __restrict gradient = of.gradient;
    for (int64_t i = begin; i < end; i++) {
        const float g = gradient[i];
        mean[i] = flushed(mean[i] + (g - mean[i]) * rates.to_mean);
        square[i] = flushed(square[i] * rates.square_kept + g * g * rates.to_square);
        parameter[i] = flushed(parameter[i] * rates.decay - rates.step * mean[i] / (std::sqrt(square[i]) * rates.root + rates.epsilon));
    }
}
