// Matrices and their product.

#pragma once

#include <vector>

#include "vectors.h"

// Where a matrix, or a part of it, or its transpose begins in memory, and how far apart its rows and columns are.
template <class T>
struct View {
    T* data;
    size_t row, column;
    View turned() const { return {data, column, row}; }
};

template <class T>
class Matrix {
    std::vector<Array<T>> held;  // none or one
    size_t row = 0;

  public:
    // Columns are held up to whole tiles, and rows up to `tall`; what is beyond the matrix is zero and stays zero. Rows lie an odd
    // number of lines apart: at a power of two, the numbers of a column would push each other out of the cache.
    static constexpr int tile = 2;  // vectors of columns that a product computes at once
    static int whole(int columns) { return up_to(tile * lanes<T>, columns); }

    Matrix() = default;
    Matrix(int rows, int columns) : row((up_to(line, whole(columns) * sizeof(T)) / line | 1) * (line / sizeof(T))) {
        held.emplace_back(up_to(tall, rows) * row);
    }
    T* operator[](int i) { return held[0] + i * row; }
    View<T> at(int i, int j) { return {held[0] + i * row + j, row, 1}; }
    View<T> all() { return at(0, 0); }
};

// c = a b, where a is [m, k] and b is [k, n]. The columns of b and c must be next to each other in memory.
template <class T>
inline void product(View<T> a, View<T> b, View<T> c, int m, int k, int n) {
    multiply<Matrix<T>::tile>(Strided<T>{a.data, a.row, a.column}, b.data, b.row, c.data, c.row, m, k, Matrix<T>::whole(n));
}

// `to` = the transpose of the n_rows x n_columns numbers at `from`, whose rows lie `row` apart.
template <class From, class T>
inline void transpose(const From* from, int n_rows, int n_columns, size_t row, View<T> to) {
    for (int j = 0; j < n_columns; j++)
        for (int i = 0; i < n_rows; i++) to.data[j * to.row + i] = (T)from[i * row + j];
}
