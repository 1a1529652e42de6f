// Vectors as wide as the instructions that are compiled for, and what is done with them. Plain C++17 with the vector types
// of GCC and Clang.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

constexpr int line = 64;  // every array begins at a multiple of so many bytes, and holds whole lines
constexpr int tall = vector_bytes == 64 ? 8 : 4;   // rows that `multiply` computes at once

typedef float Floats __attribute__((vector_size(vector_bytes)));
typedef double Doubles __attribute__((vector_size(vector_bytes)));
typedef float HalfFloats __attribute__((vector_size(vector_bytes / 2)));  // as many as Doubles
template <class T> struct VectorOf;
template <> struct VectorOf<float> { typedef Floats type; };
template <> struct VectorOf<double> { typedef Doubles type; };
template <class T> using Vector = typename VectorOf<T>::type;
template <class T> constexpr int lanes = vector_bytes / sizeof(T);

constexpr int width = lanes<float>;

inline int up_to(int multiple, int n) { return (n + multiple - 1) / multiple * multiple; }

template <class T> inline Vector<T> load(const T* from) { return *reinterpret_cast<const Vector<T>*>(from); }
template <class T> inline void store(T* to, Vector<T> values) { *reinterpret_cast<Vector<T>*>(to) = values; }
template <class T> inline Vector<T> all(T value) { return value - Vector<T>{}; }

// An array of zeros, aligned for vectors.
template <class T>
class Array {
  public:
    explicit Array(size_t n) : data((T*)::operator new(std::max<size_t>(n, 1) * sizeof(T), std::align_val_t(line))) {
        std::fill_n(data, n, T(0));
    }
    ~Array() { ::operator delete(data, std::align_val_t(line)); }
    Array(Array&& other) noexcept : data(std::exchange(other.data, nullptr)) {}
    T* operator+(size_t offset) const { return data + offset; }
    T& operator[](size_t i) const { return data[i]; }

  private:
    T* data;
};

// The sum and the largest of n floats, by halves.
template <int n>
inline float sum(const float* values) {
    if constexpr (n == 4) {
        return (values[0] + values[2]) + (values[1] + values[3]);
    } else {
        typedef float Half __attribute__((vector_size(2 * n)));
        const Half halves = *(const Half*)values + *(const Half*)(values + n / 2);
        return sum<n / 2>((const float*)&halves);
    }
}
template <int n>
inline float largest(const float* values) {
    if constexpr (n == 4) {
        return std::max(std::max(values[0], values[1]), std::max(values[2], values[3]));
    } else {
        typedef float Half __attribute__((vector_size(2 * n)));
        const Half low = *(const Half*)values, high = *(const Half*)(values + n / 2), halves = low > high ? low : high;
        return largest<n / 2>((const float*)&halves);
    }
}

// A bit for each lane that is not 0 or below, as is what is no number.
inline uint64_t active_lanes(Floats v) {
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_NLE_UQ);
#elif defined(__AVX2__)
    return (uint64_t)_mm256_movemask_ps(_mm256_cmp_ps((__m256)v, _mm256_setzero_ps(), _CMP_NLE_UQ));
#else
    uint64_t bits = 0;
    for (int i = 0; i < width; i++) bits |= uint64_t(!(v[i] <= 0)) << i;
    return bits;
#endif
}

// Bit j of row i becomes bit i of row j.
inline void transpose_bits(uint64_t rows[64]) {
    uint64_t mask = 0x00000000FFFFFFFF;
    for (int half = 32; half; half >>= 1, mask ^= mask << half)
        for (int i = 0; i < 64; i = ((i | half) + 1) & ~half) {
            const uint64_t swapped = ((rows[i] >> half) ^ rows[i | half]) & mask;
            rows[i] ^= swapped << half;
            rows[i | half] ^= swapped;
        }
}

// exp(x) for x <= 0, to the last bits of a double. Below -300 it is exp(-300): nothing beside the exp(0) that it is added to.
inline Doubles exponential(Doubles x) {
    typedef int64_t Longs __attribute__((vector_size(vector_bytes)));
    constexpr double log2_e = 1.4426950408889634;
    constexpr double ln2_high = 0.693147180369123816490, ln2_low = 1.90821492927058770002e-10;  // together ln 2
    constexpr double rounding = 6755399441055744.0;  // 1.5 * 2^52: added, it leaves the nearest whole number in the last bits
    constexpr double factorials[] = {479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1};
    x = x < -300.0 ? all(-300.0) : x;  // so that what is not a number stays so
    const Doubles shifted = x * log2_e + rounding, n = shifted - rounding;
    const Doubles r = (x - n * ln2_high) - n * ln2_low;
    Doubles series = all(1.0 / 6227020800);  // of 13!: what is left out is below 4e-18
    for (double factorial : factorials) series = series * r + 1.0 / factorial;
    const Longs power = ((Longs)shifted + 1023) << 52;
    return series * (Doubles)power;
}

// A matrix of which `multiply` takes single numbers: row i and column j at data[i * row + j * column].
template <class T>
struct Strided {
    const T* data;
    size_t row, column;
};

// c = a b: a is [m, k], b [k, n], c [m, n]. m is taken up to a multiple of `tall`, n must be whole tiles;
// both matrices have such rows and columns.
template <int tile, class T>
inline void multiply(Strided<T> a, const T* b, size_t b_row, T* c, size_t c_row, int m, int k, int n) {
    constexpr int w = lanes<T>;
    static thread_local std::vector<T> factors;  // the rows of a that are multiplied, number by number next to each other
    factors.resize((size_t)tall * k);
    for (int i = 0; i < m; i += tall) {
        for (int l = 0; l < k; l++)
            for (int r = 0; r < tall; r++) factors[(size_t)l * tall + r] = a.data[(i + r) * a.row + l * a.column];
        for (int j = 0; j < n; j += tile * w) {
            Vector<T> totals[tall][tile] = {};
            const T *factor = factors.data(), *row = b + j;
            for (int l = 0; l < k; l++, factor += tall, row += b_row) {
                Vector<T> values[tile];
                for (int t = 0; t < tile; t++) values[t] = load(row + t * w);
                for (int r = 0; r < tall; r++) {
                    const Vector<T> by = all(factor[r]);
                    for (int t = 0; t < tile; t++) totals[r][t] += by * values[t];
                }
            }
            for (int r = 0; r < tall; r++)
                for (int t = 0; t < tile; t++) store(c + (i + r) * c_row + j + t * w, totals[r][t]);
        }
    }
}
