// A thread with an inbox: what others post it does, in order, as many at a time as have come. For
// calls that may block, each kind in a thread of its own, so that none of them holds up another.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace hardstop::serving {

template <class Item>
class inbox_thread {
 public:
  // Given what has come since the last call; must not throw.
  using handler = std::function<void(std::vector<Item>&)>;

  inbox_thread(const char* name, handler handle)
      : handle_(std::move(handle)), thread_([this, name] { run(name); }) {}

  inbox_thread(const inbox_thread&) = delete;
  inbox_thread& operator=(const inbox_thread&) = delete;

  ~inbox_thread() { join(); }

  // Any thread.
  void post(Item item) {
    {
      const std::scoped_lock lock(mutex_);
      items_.push_back(std::move(item));
    }
    changed_.notify_one();
  }

  // Nothing is left to do, as of now.
  [[nodiscard]] bool idle() const {
    const std::scoped_lock lock(mutex_);
    return items_.empty() && !busy_;
  }

  // Does what is left, and ends. One thread calls this.
  void join() {
    {
      const std::scoped_lock lock(mutex_);
      ending_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void run(const char* name) {
    pthread_setname_np(pthread_self(), name);
    std::vector<Item> batch;
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return ending_ || !items_.empty(); });
      if (items_.empty()) return;
      batch.swap(items_);
      busy_ = true;
      lock.unlock();
      handle_(batch);
      batch.clear();
      lock.lock();
      busy_ = false;
    }
  }

  handler handle_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Item> items_;
  bool busy_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace hardstop::serving
