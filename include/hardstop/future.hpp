// A job's future: wait for it, stop it, learn how it ended.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <hardstop/detail/engine.hpp>
#include <hardstop/detail/submitting.hpp>
#include <hardstop/errors.hpp>
#include <hardstop/job.hpp>
#include <hardstop/outcome.hpp>

namespace hardstop {

namespace detail {

struct future_access;

[[noreturn]] void throw_invalid_future();

/// Throws bad_options if it is negative.
void check_grace(std::optional<std::chrono::nanoseconds> grace);

/// Cancels a job when a stop token is requested, in the thread that requests it.
class stop_link {
 public:
  stop_link(std::stop_token token, const job_handle& job, cancel_mode mode,
            std::optional<std::chrono::nanoseconds> grace)
      : callback_(std::move(token), canceller{job, mode, grace}) {}

 private:
  struct canceller {
    void operator()() const noexcept;

    job_handle job;
    cancel_mode mode;
    std::optional<std::chrono::nanoseconds> grace;
  };

  std::stop_callback<canceller> callback_;
};

/// Set once, by the thread that takes a job's result; others may look meanwhile.
class taken_flag {
 public:
  taken_flag() noexcept = default;

  taken_flag(taken_flag&& other) noexcept : set_(bool(other)) {}

  taken_flag& operator=(taken_flag&& other) noexcept {
    set_.store(bool(other), std::memory_order_relaxed);
    return *this;
  }

  ~taken_flag() = default;

  void set() noexcept { set_.store(true, std::memory_order_relaxed); }

  explicit operator bool() const noexcept { return set_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> set_ = false;
};

/// Gives the memory of a job's result back when it was read.
struct payload_release {
  explicit payload_release(const job_handle& of) noexcept : job(of) {}

  payload_release(const payload_release&) = delete;
  payload_release& operator=(const payload_release&) = delete;

  ~payload_release() { job.release_payload(); }

  const job_handle& job;
};

/// A point in time that far from now; nothing if that is beyond any life.
template <class Rep, class Period>
std::optional<std::chrono::steady_clock::time_point> time_from_now(
    std::chrono::duration<Rep, Period> wait) {
  using clock = std::chrono::steady_clock;
  using years = std::chrono::duration<double, std::chrono::years::period>;
  if (std::chrono::duration_cast<years>(wait).count() > 100) return std::nullopt;
  return clock::now() + std::chrono::ceil<clock::duration>(wait);
}

}  // namespace detail

/// The future of one job, which returns T or void. Movable; destroying it does not cancel the job.
///
/// One future is used by one thread at a time, except for cancel(), state() and pid(), which any
/// thread may call while another waits, in get() too; they answer after get() as well. Otherwise
/// everything but valid(), destruction and assignment throws invalid_future after get(), and after
/// the future was moved from. In a forked child of the process that submitted the job everything
/// throws forked_child; destruction is silent.
template <class T>
class future {
 public:
  using value_type = T;

  future() noexcept = default;

  [[nodiscard]] bool valid() const noexcept { return job_ && !taken_; }

  /// Waits for the end; returns the value or throws the job_error of its kind. When it throws
  /// job_cancelled, job_timed_out, worker_died or memory_limit_exceeded, no process of the job is
  /// left (but see outcome::unconfirmed). Takes the result: afterwards the future is not valid().
  /// Throws decode_error if what came back cannot be read, would_deadlock in the delivery thread.
  T get() {
    wait();
    taken_.set();
    stop_.reset();
    const detail::payload_release when_taken{job_};
    return detail::take_result<T>(job_);
  }

  /// Waits for the end. Never stops the job.
  void wait() const { checked().wait_until(std::nullopt); }

  /// Waits until the job is done, true, or the time is over, false. Neither ever stops the job: for
  /// that, use job_options::timeout or cancel().
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> time) const {
    return checked().wait_until(detail::time_from_now(time));
  }

  template <class Clock, class Duration>
  [[nodiscard]] bool wait_until(std::chrono::time_point<Clock, Duration> time) const {
    while (!wait_for(time - Clock::now())) {
      if (Clock::now() >= time) return false;  // other clocks may have been set back meanwhile
    }
    return true;
  }

  /// Stops the job by asking and then, after job_options::grace, killing its process tree. Never
  /// blocks: get() or outcome() tell when it is gone and how it ended. May be called again; a
  /// second call can make it harder or sooner. Once the job has ended it does nothing, to nobody.
  cancel_result cancel() const {
    return present().cancel(cancel_mode::ask_then_kill, std::nullopt);
  }

  cancel_result cancel(cancel_mode mode) const { return present().cancel(mode, std::nullopt); }

  /// With a grace other than the job's own. Throws bad_options if it is negative.
  cancel_result cancel(cancel_mode mode, std::chrono::nanoseconds grace) const {
    detail::check_grace(grace);
    return present().cancel(mode, grace);
  }

  /// Cancels the job when the token is requested, for as long as this future has the job. At once
  /// if it is requested already. A future follows one token, the last.
  future& cancel_on(std::stop_token token, cancel_mode mode = cancel_mode::ask_then_kill,
                    std::optional<std::chrono::nanoseconds> grace = {}) & {
    detail::check_grace(grace);
    stop_.reset();
    stop_ = std::make_unique<detail::stop_link>(std::move(token), checked(), mode, grace);
    return *this;
  }

  /// For use where the future is made: auto f = pool.submit<&fn>(…).cancel_on(token);
  future&& cancel_on(std::stop_token token, cancel_mode mode = cancel_mode::ask_then_kill,
                     std::optional<std::chrono::nanoseconds> grace = {}) && {
    return std::move(cancel_on(std::move(token), mode, grace));
  }

  [[nodiscard]] job_state state() const { return present().state(); }

  /// The process that runs the job or ran its last attempt; 0 while none has started.
  [[nodiscard]] int pid() const { return present().pid(); }

  /// Waits for the end and tells of it, whichever way it was. The value stays for get().
  [[nodiscard]] hardstop::outcome outcome() const {
    wait();
    return job_.outcome();
  }

 private:
  friend struct detail::future_access;

  explicit future(detail::job_handle job) noexcept : job_(std::move(job)) {}

  /// The job, whether its result was taken or not. Stays where it is while get() runs, so that
  /// other threads can look at it.
  const detail::job_handle& present() const {
    if (!job_) [[unlikely]]
      detail::throw_invalid_future();
    return job_;
  }

  /// The job, whose result is still here.
  const detail::job_handle& checked() const {
    if (!valid()) [[unlikely]]
      detail::throw_invalid_future();
    return job_;
  }

  detail::job_handle job_;
  detail::taken_flag taken_;
  std::unique_ptr<detail::stop_link> stop_;
};

namespace detail {

/// How pools make futures and adapters look into them.
struct future_access {
  template <class T>
  static future<T> make(job_handle job) noexcept {
    return future<T>(std::move(job));
  }

  template <class T>
  static const job_handle& job(const future<T>& of) {
    return of.checked();
  }
};

}  // namespace detail
}  // namespace hardstop
