// Threads that sleep between passes. Those of OpenMP spin, and would fight with torch's.

#pragma once

#include <atomic>
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
        }
        wake.notify_all();
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
            round++;
        }
        wake.notify_all();
        take(task);
        std::unique_lock<std::mutex> held(mutex);
        done.wait(held, [this] { return busy == 0; });
    }

  private:
    void take(const std::function<void(int)>& task) {
        for (int i; (i = next++) < n_tasks;) task(i);
    }
    void work() {
        for (long seen = 0;;) {
            std::unique_lock<std::mutex> held(mutex);
            wake.wait(held, [&] { return ended || round != seen; });
            if (ended) return;
            seen = round;
            held.unlock();
            take(*todo);
            held.lock();
            if (--busy == 0) done.notify_one();
        }
    }

    std::mutex mutex;
    std::condition_variable wake, done;
    const std::function<void(int)>* todo = nullptr;
    std::atomic<int> next{0};
    int n_tasks = 0, busy = 0;
    long round = 0;
    bool ended = false;
    std::vector<std::thread> workers;  // last: they use all of the above
};
