// The one-layer transformer's losses over its train and test pairs and the gradients of the first, and AdamW: calls for ctypes.

#include <new>
#include <stdexcept>
#include <system_error>

#include "adamw.h"
#include "folding.h"
#include "pool.h"

namespace {

struct Network {
    Shape train_shape, test_shape;
    Tables tables;
    Folding folding;
    Pairs train, test;
    Pool pool;

    Network(const Shape& train_shape, const int64_t* train_pairs, const int64_t* train_answers, const Shape& test_shape,
            const int64_t* test_pairs, const int64_t* test_answers, const Parameters& weight, const Parameters& gradient, int n_threads)
        : train_shape(train_shape), test_shape(test_shape), tables(train_shape), folding(train_shape, weight, gradient, tables),
          train(train_shape, tables, train_pairs, train_answers, true), test(test_shape, tables, test_pairs, test_answers, false),
          pool(n_threads) {}

    void gradients() {
        const Shape& s = train_shape;
        folding.take_rows();
        pool.run(s.n_heads, [&](int h) { folding.take_head(h); });
        pool.run(s.chunks(), [&](int q) { folding.take_chunk(q); });
        pool.run(s.blocks(), [&](int i) { train.forward(i, true); });
        pool.run(s.chunks(), [&](int q) {
            train.backward(q, folding.d_base(q));
            folding.give_chunk(q, train);
        });
        pool.run(s.n_heads + 1, [&](int h) { h < s.n_heads ? folding.give_head(h, train) : folding.give_classes(); });
        folding.give_rows();
    }
};

// What became of a call, for its caller: an exception cannot pass into another language.
enum Outcome { well = 0, short_of_memory = 1, short_of_threads = 2, other = 3 };

template <class Work>
int outcome_of(const Work& work) noexcept {
    try {
        work();
        return well;
    } catch (const std::bad_alloc&) {
        return short_of_memory;
    } catch (const std::length_error&) {
        return short_of_memory;
    } catch (const std::system_error&) {
        return short_of_threads;
    } catch (...) {
        return other;
    }
}

}  // namespace

// All but the last return an `Outcome`.
extern "C" {

// A network that reads `weight` and writes `gradient`, which stay the caller's.
int network_new(const Shape* train, const int64_t* train_pairs, const int64_t* train_answers, const Shape* test, const int64_t* test_pairs,
                const int64_t* test_answers, const Parameters* weight, const Parameters* gradient, int n_threads, void** network) {
    return outcome_of([&] {
        *network = new Network(*train, train_pairs, train_answers, *test, test_pairs, test_answers, *weight, *gradient, n_threads);
    });
}

// Mean loss and accuracy over the train pairs at the weights as they are now, and the gradients of that loss.
int network_gradients(void* network, double* scores) {
    return outcome_of([&] {
        Network& n = *(Network*)network;
        n.gradients();
        scores[0] = n.train.loss();
        scores[1] = n.train.accuracy();
    });
}

// Mean loss and accuracy over the test pairs, at the weights that the last gradients were of.
int network_test(void* network, double* scores) {
    return outcome_of([&] {
        Network& n = *(Network*)network;
        n.pool.run(n.test_shape.blocks(), [&](int i) { n.test.forward(i, false); });
        scores[0] = n.test.loss();
        scores[1] = n.test.accuracy();
    });
}

// One update of the n parameters by AdamW, on the network's threads.
int network_adamw(void* network, const Updated* updated, int n, const Rates* rates) {
    return outcome_of([&] {
        std::vector<std::pair<const Updated*, int64_t>> tasks;
        for (int i = 0; i < n; i++)
            for (int64_t begin = 0; begin < updated[i].size; begin += stretch) tasks.emplace_back(&updated[i], begin);
        ((Network*)network)->pool.run((int)tasks.size(), [&](int i) {
            const auto [of, begin] = tasks[i];
            adamw(*of, begin, std::min(begin + stretch, of->size), *rates);
        });
    });
}

void network_free(void* network) { delete (Network*)network; }
}
