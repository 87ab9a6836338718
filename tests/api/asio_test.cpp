// Jobs as Asio operations. Built twice: with standalone Asio and with Boost.Asio.
#ifdef HARDSTOP_USE_BOOST_ASIO
#include <boost/asio.hpp>
#ifdef BOOST_ASIO_HAS_CO_AWAIT
#include <boost/asio/experimental/awaitable_operators.hpp>
#define HARDSTOP_TEST_CO_AWAIT
#endif
namespace net = boost::asio;
#else
#include <asio.hpp>
#ifdef ASIO_HAS_CO_AWAIT
#include <asio/experimental/awaitable_operators.hpp>
#define HARDSTOP_TEST_CO_AWAIT
#endif
namespace net = asio;
#endif
#if defined(HARDSTOP_USE_BOOST_ASIO) || ASIO_VERSION >= 102400
#define HARDSTOP_TEST_DEFERRED net::deferred
#else
#include <asio/experimental/deferred.hpp>
#define HARDSTOP_TEST_DEFERRED net::experimental::deferred
#endif

#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "api/jobs.hpp"
#include <hardstop/integration/asio.hpp>
#include <hardstop/pool.hpp>

using hardstop::test::do_nothing;
using hardstop::test::hang;
using hardstop::test::square;
using hardstop::test::throw_if_odd;
using hardstop::test::until_asked;
using namespace std::chrono_literals;

namespace {

int first_of(std::vector<int> values) {
  return values.at(0);
}

/// Counts what is allocated and freed for handlers.
template <class T>
struct counting_allocator {
  using value_type = T;

  explicit counting_allocator(int& count) : live(&count) {}

  template <class U>
  counting_allocator(const counting_allocator<U>& other)  // NOLINT(google-explicit-constructor)
      : live(other.live) {}

  T* allocate(std::size_t count) {
    ++*live;
    return std::allocator<T>().allocate(count);
  }

  void deallocate(T* memory, std::size_t count) {
    --*live;
    std::allocator<T>().deallocate(memory, count);
  }

  friend bool operator==(const counting_allocator&, const counting_allocator&) = default;

  int* live;
};

class asio_test : public testing::Test {
 protected:
  net::io_context io;
  hardstop::process_pool pool{{.workers = 1}};
};

/// A pipe that workers inherit, through which a job says that it has begun.
class started_pipe {
 public:
  started_pipe() {
    if (::pipe(ends_.data()) != 0) throw std::system_error(errno, std::generic_category());
  }

  started_pipe(const started_pipe&) = delete;
  started_pipe& operator=(const started_pipe&) = delete;

  ~started_pipe() {
    for (const int end : ends_)
      ::close(end);
  }

  [[nodiscard]] int write_end() const { return ends_[1]; }

  void wait() const {
    char begun = 0;
    ASSERT_EQ(::read(ends_[0], &begun, 1), 1);
  }

 private:
  std::array<int, 2> ends_{};
};

int until_asked_once_begun(const std::stop_token& token, int told) {
  if (::write(told, "!", 1) != 1) return -1;
  return until_asked(token);
}

bool is_cancelled(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const hardstop::job_cancelled&) {
    return true;
  }
  return false;
}

}  // namespace

TEST_F(asio_test, callbacks) {
  std::optional<int> value;
  hardstop::async_submit<&square>(
      pool, 7, net::bind_executor(io, [&](const std::exception_ptr& error, int result) {
        EXPECT_EQ(error, nullptr);
        value = result;
      }));
  EXPECT_FALSE(value) << "never before async_submit returns";
  io.run();
  EXPECT_EQ(value, 49);
}

TEST_F(asio_test, callbacks_of_jobs_without_result_and_with_errors) {
  int calls = 0;
  hardstop::async_submit<&do_nothing>(pool,
                                      net::bind_executor(io, [&](const std::exception_ptr& error) {
                                        EXPECT_EQ(error, nullptr);
                                        ++calls;
                                      }));
  hardstop::async_submit<&throw_if_odd>(
      pool, {.name = "odd"}, 3,
      net::bind_executor(io, [&](const std::exception_ptr& error, int result) {
        EXPECT_THROW(std::rethrow_exception(error), hardstop::job_exception);
        EXPECT_EQ(result, 0);
        ++calls;
      }));
  hardstop::async_submit<&first_of>(
      pool, {4, 5}, net::bind_executor(io, [&](const std::exception_ptr&, int result) {
        EXPECT_EQ(result, 4);
        ++calls;
      }));
  io.run();
  EXPECT_EQ(calls, 3);
}

TEST_F(asio_test, errors_of_submit_come_through_the_handler) {
  bool called = false;
  hardstop::async_submit<&do_nothing>(
      pool, {.timeout = -1s}, net::bind_executor(io, [&](const std::exception_ptr& error) {
        EXPECT_THROW(std::rethrow_exception(error), hardstop::bad_options);
        called = true;
      }));
  EXPECT_FALSE(called);
  io.run();
  EXPECT_TRUE(called);
}

TEST_F(asio_test, futures) {
  auto value = hardstop::async_submit<&square>(pool, 3, net::use_future);
  auto nothing = hardstop::async_submit<&do_nothing>(pool, net::use_future);
  auto failed = hardstop::async_submit<&hang>(pool, {.timeout = 5ms}, net::use_future);
  EXPECT_EQ(value.get(), 9);
  nothing.get();
  EXPECT_THROW(failed.get(), hardstop::job_timed_out);
}

TEST_F(asio_test, deferred_operations_start_when_they_are_called) {
  auto operation =
      hardstop::async_submit<&square>(pool, {.timeout = 10s}, 4, HARDSTOP_TEST_DEFERRED);
  EXPECT_EQ(pool.stats().submitted, 0U);
  std::optional<int> value;
  std::move(operation)(
      net::bind_executor(io, [&](const std::exception_ptr&, int result) { value = result; }));
  io.run();
  EXPECT_EQ(value, 16);
}

TEST_F(asio_test, handlers_run_in_their_executor) {
  auto strand = net::make_strand(io);
  bool within = false;
  hardstop::async_submit<&do_nothing>(pool,
                                      net::bind_executor(strand, [&](const std::exception_ptr&) {
                                        within = strand.running_in_this_thread();
                                      }));
  io.run();
  EXPECT_TRUE(within);
}

TEST_F(asio_test, memory_comes_from_the_handlers_allocator_and_is_free_when_it_is_called) {
  struct handler {
    using allocator_type = counting_allocator<char>;
    using executor_type = net::io_context::executor_type;

    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(*live); }

    [[nodiscard]] executor_type get_executor() const noexcept { return executor; }

    void operator()(const std::exception_ptr&, int) const { *live_at_call = *live; }

    executor_type executor;
    int* live;
    int* live_at_call;
  };

  int live = 0;
  int live_at_call = -1;
  hardstop::async_submit<&square>(pool, 3, handler{io.get_executor(), &live, &live_at_call});
  EXPECT_GT(live, 0);
  io.run();
  EXPECT_EQ(live_at_call, 0);
  EXPECT_EQ(live, 0);
}

TEST_F(asio_test, terminal_cancellation_kills) {
  const started_pipe started;
  net::cancellation_signal signal;
  bool cancelled = false;
  hardstop::async_submit<&until_asked_once_begun>(
      pool, {.grace = 1h}, started.write_end(),
      net::bind_cancellation_slot(signal.slot(),
                                  net::bind_executor(io, [&](const std::exception_ptr& error, int) {
                                    cancelled = is_cancelled(error);
                                  })));
  started.wait();
  signal.emit(net::cancellation_type::terminal);
  io.run();
  EXPECT_TRUE(cancelled);
}

TEST_F(asio_test, partial_cancellation_asks_first) {
  const started_pipe started;
  net::cancellation_signal signal;
  int value = 0;
  hardstop::async_submit<&until_asked_once_begun>(
      pool, {.grace = 1h}, started.write_end(),
      net::bind_cancellation_slot(
          signal.slot(),
          net::bind_executor(io, [&](const std::exception_ptr&, int result) { value = result; })));
  started.wait();
  signal.emit(net::cancellation_type::partial);
  io.run();
  EXPECT_EQ(value, 7);
}

TEST_F(asio_test, cancellation_after_the_end_does_nothing) {
  net::cancellation_signal signal;
  int value = 0;
  hardstop::async_submit<&square>(
      pool, 5,
      net::bind_cancellation_slot(
          signal.slot(),
          net::bind_executor(io, [&](const std::exception_ptr&, int result) { value = result; })));
  io.run();
  signal.emit(net::cancellation_type::terminal);
  EXPECT_EQ(value, 25);
}

// What runs on when its awaiter is gone must not come back to where it was.
TEST_F(asio_test, a_context_that_goes_away_takes_its_handlers_along) {
  auto witness = std::make_shared<int>(0);
  const std::weak_ptr<int> seen = witness;
  {
    net::io_context short_lived;
    hardstop::async_submit<&square>(
        pool, {.priority = -1}, 3,
        net::bind_executor(short_lived,
                           [kept = std::move(witness)](const std::exception_ptr&, int) {
                             ADD_FAILURE() << "called after its context was gone";
                           }));
  }
  EXPECT_TRUE(seen.expired());
  pool.shutdown();
  EXPECT_EQ(pool.stats().ended.value, 1U);
}

#ifdef HARDSTOP_TEST_CO_AWAIT

using hardstop::test::hang_and_return_int;

namespace {

template <class Body>
void run_coroutine(net::io_context& io, Body body) {
  std::exception_ptr failure;
  net::co_spawn(io, body(), [&](const std::exception_ptr& error) { failure = error; });
  io.run();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

// The same under AddressSanitizer shows that g++ 12 does not destroy the options twice.
TEST_F(asio_test, braced_options_within_co_await) {
  run_coroutine(io, [&]() -> net::awaitable<void> {
    const std::string name = "a name too long to be kept within the string itself";
    const int value = co_await hardstop::async_submit<&square>(
        pool, {.timeout = 10s, .grace = 500ms, .name = name}, 6, net::use_awaitable);
    EXPECT_EQ(value, 36);
    co_await hardstop::async_submit<&do_nothing>(pool, net::use_awaitable);
  });
}

TEST_F(asio_test, errors_are_thrown_into_the_coroutine) {
  EXPECT_THROW(run_coroutine(io,
                             [&]() -> net::awaitable<void> {
                               co_await hardstop::async_submit<&throw_if_odd>(pool, 1,
                                                                              net::use_awaitable);
                             }),
               hardstop::job_exception);
}

TEST_F(asio_test, a_timer_wins_against_a_job_that_hangs) {
  using namespace net::experimental::awaitable_operators;
  run_coroutine(io, [&]() -> net::awaitable<void> {
    net::steady_timer timer(io, 20ms);
    const auto first =
        co_await (hardstop::async_submit<&hang_and_return_int>(pool, 1, net::use_awaitable) ||
                  timer.async_wait(net::use_awaitable));
    EXPECT_EQ(first.index(), 1U);
    EXPECT_EQ(pool.stats().running, 0U) << "the job's end was waited for";
  });
}

#endif
