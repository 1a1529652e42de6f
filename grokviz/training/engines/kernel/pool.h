// Threads that share out the tasks of a phase. They look out for the next phase for a millisecond, which lasts from one step to
// the next, offering the processor to others meanwhile, and then sleep: those of OpenMP spin on, and would fight with torch's.

#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

class Pool {
  public:
    explicit Pool(int n_threads) {
        for (int i = 1; i < n_threads; i++) workers.emplace_back([this] { work(); });
    }
    ~Pool() {
        {
            std::lock_guard<std::mutex> held(mutex);
            ended = true;
            phase++;
        }
        begun.notify_all();
        for (auto& worker : workers) worker.join();
    }
    Pool(const Pool&) = delete;

    // task(0), ..., task(n - 1), in any order and on any thread; returns when all are done.
    void run(int n, const std::function<void(int)>& task) {
        {
            std::lock_guard<std::mutex> held(mutex);
            todo = &task;
            n_tasks = n;
            next = 0;
            busy = (int)workers.size();
            phase++;
        }
        begun.notify_all();
        take(task);
        if (look_out([this] { return busy == 0; })) return;
        std::unique_lock<std::mutex> held(mutex);
        done.wait(held, [this] { return busy == 0; });
    }

  private:
    template <class Condition>
    static bool look_out(Condition condition) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
        while (!condition()) {
            if (std::chrono::steady_clock::now() > until) return false;
            std::this_thread::yield();
        }
        return true;
    }

    void take(const std::function<void(int)>& task) {
        for (int i; (i = next++) < n_tasks;) task(i);
    }

    void work() {
        for (long seen = 0;; seen++) {
            const auto is_next = [&] { return phase != seen; };
            if (!look_out(is_next)) {
                std::unique_lock<std::mutex> held(mutex);
                begun.wait(held, is_next);
            }
            if (ended) return;
            take(*todo);
            std::lock_guard<std::mutex> held(mutex);
            if (--busy == 0) done.notify_one();
        }
    }

    std::mutex mutex;
    std::condition_variable begun, done;
    std::atomic<long> phase{0};  // of which run it is, counted
    std::atomic<int> next{0}, busy{0};
    const std::function<void(int)>* todo = nullptr;
    int n_tasks = 0;
    bool ended = false;
    std::vector<std::thread> workers;  // last: they use all of the above
};
