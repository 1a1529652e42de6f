// The fused engine's kernel as a program of its own, so that it can be built by any compiler and for any processor: reads a
// problem from its input, writes losses, gradients and the parameters after one update. `kernel_elsewhere.py` writes and reads.

#include <cstdio>

#include "fused.cpp"

template <class T>
static std::vector<T> taken(size_t n) {
    std::vector<T> values(n);
    if (std::fread(values.data(), sizeof(T), n, stdin) != n) throw std::runtime_error("the problem is cut short");
    return values;
}

template <class T>
static void give(const T* values, size_t n) {
    std::fwrite(values, sizeof(T), n, stdout);
}

int main() {
    const int n_threads = taken<int>(1)[0];
    const Shape train = *(Shape*)taken<int>(7).data(), test = *(Shape*)taken<int>(7).data();
    const auto train_pairs = taken<int64_t>(2 * train.n_pairs), train_answers = taken<int64_t>(train.n_pairs);
    const auto test_pairs = taken<int64_t>(2 * test.n_pairs), test_answers = taken<int64_t>(test.n_pairs);
    std::vector<std::vector<float>> weights, gradients, means, squares;
    for (int64_t size : taken<int64_t>(11)) {
        weights.push_back(taken<float>(size));
        for (auto* kept : {&gradients, &means, &squares}) kept->emplace_back(size);
    }
    Parameters weight, gradient;
    for (int i = 0; i < 11; i++) {
        ((float**)&weight)[i] = weights[i].empty() ? nullptr : weights[i].data();
        ((float**)&gradient)[i] = gradients[i].empty() ? nullptr : gradients[i].data();
    }
    void* network = nullptr;
    double scores[4];
    std::vector<Updated> updated;
    for (int i = 0; i < 11; i++)
        if (!weights[i].empty())
            updated.push_back({weights[i].data(), gradients[i].data(), means[i].data(), squares[i].data(), (int64_t)weights[i].size()});
    const Rates rates{0.999f, 0.1f, 0.98f, 0.02f, 0.01f, 7.0710678f, 1e-8f};
    if (network_new(&train, train_pairs.data(), train_answers.data(), &test, test_pairs.data(), test_answers.data(), &weight, &gradient,
                    n_threads, &network) ||
        network_gradients(network, scores) || network_test(network, scores + 2) ||
        network_adamw(network, updated.data(), (int)updated.size(), &rates))
        return 1;
    give(scores, 4);
    for (const auto& values : gradients) give(values.data(), values.size());
    for (const auto& values : weights) give(values.data(), values.size());
    network_free(network);
}
