// Threads that share out the tasks of a phase. They look out for the next phase for a millisecond, which lasts from one step to
// the next, offering the processor to others meanwhile, and then sleep: those of OpenMP spin on, and would fight with torch's.

#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

class Pool {
  public:
    explicit Pool(int n_threads) {
        try {
            for (int i = 1; i < n_threads; i++) workers.emplace_back([this] { work(); });
        } catch (...) {  // the system gives no more: those there are must end before they may go
            end();
            throw;
        }
    }
    ~Pool() { end(); }
    Pool(const Pool&) = delete;

    // task(0), ..., task(n - 1), in any order and on any thread; returns when all are done. What one of them throws, on whichever
    // thread, is thrown here when no thread is at work any more; the tasks that were not begun by then are left out.
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
        const auto is_done = [this] { return busy == 0; };
        if (!look_out(is_done)) {
            std::unique_lock<std::mutex> held(mutex);
            done.wait(held, is_done);
        }
        if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
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

    void take(const std::function<void(int)>& task) noexcept {
        try {
            for (int i; (i = next++) < n_tasks;) task(i);
        } catch (...) {
            std::lock_guard<std::mutex> held(mutex);
            if (!failure) failure = std::current_exception();
            next = n_tasks;
        }
    }

    void end() {
        {
            std::lock_guard<std::mutex> held(mutex);
            ended = true;
            phase++;
        }
        begun.notify_all();
        for (auto& worker : workers) worker.join();
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
    std::exception_ptr failure;
    bool ended = false;
    std::vector<std::thread> workers;  // last: they use all of the above
};
