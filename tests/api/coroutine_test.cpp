// Awaiting jobs in plain C++20 coroutines.
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "api/jobs.hpp"
#include <hardstop/integration/coroutine.hpp>
#include <hardstop/pool.hpp>

using hardstop::test::do_nothing;
using hardstop::test::hang;
using hardstop::test::is_gone;
using hardstop::test::square;
using hardstop::test::throw_if_odd;
using hardstop::test::wait_until_running;
using namespace std::chrono_literals;

namespace {

/// A coroutine that starts at once and whose end a thread can wait for.
template <class T>
class eager {
 public:
  struct promise_type {
    eager get_return_object() {
      return eager(std::coroutine_handle<promise_type>::from_promise(*this));
    }

    std::suspend_never initial_suspend() noexcept { return {}; }

    auto final_suspend() noexcept {
      struct tell {
        bool await_ready() noexcept { return false; }

        void await_suspend(std::coroutine_handle<promise_type> ended) noexcept {
          const std::lock_guard lock(ended.promise().mutex);
          ended.promise().done = true;
          ended.promise().told.notify_all();
        }

        void await_resume() noexcept {}
      };

      return tell();
    }

    void return_value(T returned) { value = std::move(returned); }

    void unhandled_exception() { error = std::current_exception(); }

    std::mutex mutex;
    std::condition_variable told;
    bool done = false;
    std::optional<T> value;
    std::exception_ptr error;
  };

  explicit eager(std::coroutine_handle<promise_type> running) : running_(running) {}

  eager(const eager&) = delete;
  eager& operator=(const eager&) = delete;

  ~eager() { running_.destroy(); }

  T get() {
    auto& promise = running_.promise();
    std::unique_lock lock(promise.mutex);
    promise.told.wait(lock, [&] { return promise.done; });
    if (promise.error) std::rethrow_exception(promise.error);
    return std::move(*promise.value);
  }

 private:
  std::coroutine_handle<promise_type> running_;
};

/// The smallest executor: coroutines wait here until the test's thread runs them.
class queue {
 public:
  void post(std::coroutine_handle<> ready) {
    const std::lock_guard lock(mutex_);
    ready_.push_back(ready);
    posted_.notify_all();
  }

  void run_one() {
    std::unique_lock lock(mutex_);
    posted_.wait(lock, [&] { return !ready_.empty(); });
    const auto next = ready_.front();
    ready_.pop_front();
    lock.unlock();
    next.resume();
  }

 private:
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::coroutine_handle<>> ready_;
};

class coroutine_test : public testing::Test {
 protected:
  hardstop::process_pool pool{{.workers = 1}};
};

}  // namespace

TEST_F(coroutine_test, value) {
  const auto body = [&]() -> eager<int> { co_return co_await pool.submit<&square>(5) + 1; };
  EXPECT_EQ(body().get(), 26);
}

TEST_F(coroutine_test, void_and_several_in_a_row) {
  const auto body = [&]() -> eager<int> {
    int sum = 0;
    for (int i = 0; i < 100; ++i) {
      co_await pool.submit<&do_nothing>();
      sum += co_await pool.submit<&square>(2);
    }
    co_return sum;
  };
  EXPECT_EQ(body().get(), 400);
}

// g++ 12 destroys a temporary with a non-trivial member twice if it is written as a braced list
// within a co_await expression; AddressSanitizer sees it.
TEST_F(coroutine_test, braced_options_within_co_await) {
  const auto body = [&]() -> eager<int> {
    const std::string name = "a name too long to be kept within the string itself";
    int sum = co_await pool.submit<&square>(
        {.timeout = 10s, .grace = 500ms, .priority = 1, .name = name}, 3);
    sum += co_await pool.submit<&square>({.timeout = 10s, .name = std::string(100, 'x')}, 4);
    sum += co_await hardstop::resume_on(pool.submit<&square>({.name = name + "!"}, 5),
                                        [](std::coroutine_handle<> ready) { ready.resume(); });
    co_return sum;
  };
  EXPECT_EQ(body().get(), 50);
}

TEST_F(coroutine_test, errors_are_thrown_into_the_coroutine) {
  const auto body = [&]() -> eager<std::string> {
    try {
      co_await pool.submit<&throw_if_odd>(1);
    } catch (const hardstop::job_exception& thrown) {
      co_return thrown.message();
    }
    co_return "";
  };
  EXPECT_EQ(body().get(), "odd: 1");
}

TEST_F(coroutine_test, a_job_that_is_done_already) {
  const auto body = [&]() -> eager<int> {
    auto job = pool.submit<&square>(3);
    job.wait();
    co_return co_await std::move(job);
  };
  EXPECT_EQ(body().get(), 9);
}

TEST_F(coroutine_test, a_stop_token_reaches_the_awaited_job) {
  std::stop_source source;
  auto job = pool.submit<&hang>();
  wait_until_running(job);
  const auto body = [&]() -> eager<int> {
    try {
      co_await std::move(job).cancel_on(source.get_token());
    } catch (const hardstop::job_cancelled& stopped) {
      co_return stopped.outcome().pid();
    }
    co_return -1;
  };
  auto running = body();
  source.request_stop();
  const int pid = running.get();
  ASSERT_GT(pid, 0);
  EXPECT_TRUE(is_gone(pid));
}

TEST_F(coroutine_test, resume_on_an_executor) {
  queue executor;
  std::thread::id resumed_in;
  const auto body = [&]() -> eager<int> {
    const int value = co_await hardstop::resume_on(
        pool.submit<&square>(6), [&](std::coroutine_handle<> ready) { executor.post(ready); });
    resumed_in = std::this_thread::get_id();
    co_return value;
  };
  auto running = body();
  executor.run_one();
  EXPECT_EQ(running.get(), 36);
  EXPECT_EQ(resumed_in, std::this_thread::get_id());
}

TEST(coroutine, waiting_in_the_delivery_thread_is_refused) {
  hardstop::process_pool pool{{.workers = 2}};
  auto other = pool.submit<&hang>();
  const auto body = [&]() -> eager<bool> {
    const auto here = std::this_thread::get_id();
    co_await pool.submit<&square>(1);
    if (std::this_thread::get_id() == here) co_return true;  // done before it was awaited
    try {
      other.wait();
    } catch (const hardstop::would_deadlock&) {
      co_return true;
    }
    co_return false;
  };
  EXPECT_TRUE(body().get());
  other.cancel();
}
