// One blocking call that really stops, for code that sits in somebody else's thread.
//
//   std::jthread worker([&](std::stop_token token) {
//     auto model = hardstop::run<&fit>({.timeout = 5s, .stop = token}, samples);
//   });
//   worker.request_stop();   // and the fit is gone
//
// The same within std::async, asio::thread_pool, oneTBB or a plain thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string_view>
#include <type_traits>

#include <hardstop/detail/engine.hpp>
#include <hardstop/detail/submitting.hpp>
#include <hardstop/future.hpp>
#include <hardstop/options.hpp>

namespace hardstop {

/// Refers to a stop token that lives until the call it is given to returns.
class stop_reference {
 public:
  stop_reference() noexcept = default;

  stop_reference(const std::stop_token& token) noexcept  // NOLINT(google-explicit-constructor)
      : token_(&token) {}

  [[nodiscard]] const std::stop_token* get() const noexcept { return token_; }

 private:
  const std::stop_token* token_ = nullptr;
};

/// Like job_options, of which it has the names that make sense for a call that waits.
struct run_options {
  /// Time allowed for one attempt, from its start. Unset: no limit.
  std::optional<std::chrono::nanoseconds> timeout{};
  /// Time between asking and killing when `stop` is requested. Zero: killed at once.
  std::chrono::nanoseconds grace{0};
  /// Stops the job when requested; run() then throws job_cancelled, when the job is gone.
  stop_reference stop{};
  int priority = 0;
  unsigned retries = 0;
  std::uint64_t max_memory = 0;
  hardstop::leftovers leftovers = hardstop::leftovers::keep;
  std::string_view name{};
};

static_assert(std::is_trivially_destructible_v<run_options>);

namespace detail {

template <auto Function, class... Arguments>
result_of<Function> run_as(const run_options& options, const Arguments&... arguments) {
  const job_options as_job{.timeout = options.timeout,
                           .grace = options.grace,
                           .priority = options.priority,
                           .retries = options.retries,
                           .max_memory = options.max_memory,
                           .leftovers = options.leftovers,
                           .name = options.name};
  const job_handle job = submit_job<Function>(shared_pool(), as_job, arguments...);
  std::optional<stop_link> link;
  if (options.stop.get() != nullptr) {
    link.emplace(*options.stop.get(), job, cancel_mode::ask_then_kill, std::nullopt);
  }
  job.wait_until(std::nullopt);
  link.reset();
  return take_result<result_of<Function>>(job);
}

inline constexpr run_options default_run_options{};

}  // namespace detail

/// Runs fn(args…) in a process of a pool that this program shares, waits for its end, and returns
/// its value or throws the job_error of its kind: see future::get(). The pool is made on first use,
/// by start_method::fork, and grows with the calls that run at a time, up to the usable CPUs; more
/// calls wait for their turn. Any thread may call it, except the delivery thread: would_deadlock.
///
/// run_options may stand in front, usually as a braced list; the number of arguments tells.
template <auto Function>
  requires(detail::arity<Function> == 0)
detail::result_of<Function> run() {
  return detail::run_as<Function>(detail::default_run_options);
}

template <auto Function, class First = detail::first_parameter<Function>, class... Rest>
  requires(detail::arity<Function> == 1 + sizeof...(Rest))
detail::result_of<Function> run(First&& first, Rest&&... rest) {
  return detail::run_as<Function>(detail::default_run_options, first, rest...);
}

template <auto Function, class... Arguments>
  requires(detail::arity<Function> != 1 + sizeof...(Arguments))
detail::result_of<Function> run(const run_options& options, Arguments&&... arguments) {
  return detail::run_as<Function>(options, arguments...);
}

/// A wrong number of arguments: does not compile, and says so.
template <auto Function, class... Arguments>
  requires detail::wrong_arguments<Function, run_options, Arguments...>
void run(Arguments&&... /*arguments*/) {
  static_cast<void>(detail::argument_count<sizeof...(Arguments), detail::arity<Function>>{});
}

}  // namespace hardstop
