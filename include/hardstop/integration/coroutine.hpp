// co_await a hardstop::future in any C++20 coroutine.
//
//   task<double> solve(hardstop::process_pool& pool) {
//     co_return co_await pool.submit<&integrate>({.timeout = 5s}, samples, 12);
//   }
//
// The value, or the exception that future::get() would throw. The coroutine resumes in hardstop's
// delivery thread, which carries the results of every pool: go on quickly, and never wait for
// another job there (would_deadlock). resume_on() hands the coroutine to an executor of yours
// instead.
//
// Awaiting follows the job to its confirmed end; cancel() and cancel_on() work meanwhile through a
// stop token given before:
//
//   co_await pool.submit<&integrate>(samples, 12).cancel_on(token);
//
// A coroutine must not be destroyed while it awaits: cancel the job and let it resume.
#pragma once

#include <atomic>
#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

#include <hardstop/detail/engine.hpp>
#include <hardstop/future.hpp>

namespace hardstop {

namespace detail {

/// Resumes where the job's end is delivered.
struct resume_here {
  void operator()(std::coroutine_handle<> waiting) const { waiting.resume(); }
};

/// Lives in the coroutine's frame for as long as the co_await expression.
template <class T, class Resume>
class future_awaiter final : continuation {
 public:
  future_awaiter(future<T>&& awaited, Resume resume)
      : awaited_(std::move(awaited)), resume_(std::move(resume)) {}

  [[nodiscard]] bool await_ready() const {
    return future_access::job(awaited_).state() == job_state::done;
  }

  // If the job ends before this returns, the coroutine goes on in this thread without having been
  // resumed from within itself. Whoever comes second, we or run(), acts.
  bool await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    future_access::job(awaited_).on_done(*this);
    return !met_.exchange(true, std::memory_order_acq_rel);
  }

  T await_resume() { return awaited_.get(); }

 private:
  void run() noexcept override {
    if (!met_.exchange(true, std::memory_order_acq_rel)) return;
    // Resuming may destroy *this with the frame.
    const std::coroutine_handle<> waiting = waiting_;
    Resume resume = std::move(resume_);
    resume(waiting);
  }

  future<T> awaited_;
  [[no_unique_address]] Resume resume_;
  std::coroutine_handle<> waiting_;
  std::atomic<bool> met_ = false;
};

template <class T, class Resume>
class awaitable_future {
 public:
  awaitable_future(future<T>&& awaited, Resume resume)
      : awaited_(std::move(awaited)), resume_(std::move(resume)) {}

  future_awaiter<T, Resume> operator co_await() && {
    return {std::move(awaited_), std::move(resume_)};
  }

 private:
  future<T> awaited_;
  Resume resume_;
};

}  // namespace detail

/// Awaits the job's end and takes its result, like future::get().
template <class T>
detail::future_awaiter<T, detail::resume_here> operator co_await(future<T>&& awaited) {
  return {std::move(awaited), detail::resume_here()};
}

/// The same, but the coroutine is handed to `resume`, a callable that takes a
/// std::coroutine_handle<> and resumes it soon, once, in a thread of its choice. Called in the
/// delivery thread; must not throw.
///
///   co_await hardstop::resume_on(std::move(f), [&](std::coroutine_handle<> h) { loop.post(h); });
///
/// If the job has ended already the coroutine goes on in its own thread without being handed over.
template <class T, std::invocable<std::coroutine_handle<>> Resume>
[[nodiscard]] detail::awaitable_future<T, Resume> resume_on(future<T>&& awaited, Resume resume) {
  return {std::move(awaited), std::move(resume)};
}

}  // namespace hardstop
