// A pool of processes that run functions of this program, and can stop them.
//
//   double integrate(std::vector<double> samples, int depth);
//
//   hardstop::process_pool pool{{.workers = 4}};
//   hardstop::future<double> f = pool.submit<&integrate>(samples, 12);
//   auto g = pool.submit<&integrate>({.timeout = 5s, .grace = 500ms, .name = "deep"}, samples, 40);
//   g.cancel();            // its process tree is gone when g.get() throws
//   double v = f.get();
//
// A job is a function or a captureless lambda, known at compile time. It runs in another process,
// on copies of its arguments; its result is copied back. codec.hpp tells which types can travel.
// What a job writes to global variables stays in its worker.
#pragma once

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <hardstop/containment.hpp>
#include <hardstop/detail/engine.hpp>
#include <hardstop/detail/submitting.hpp>
#include <hardstop/errors.hpp>
#include <hardstop/future.hpp>
#include <hardstop/initializer.hpp>
#include <hardstop/options.hpp>
#include <hardstop/stats.hpp>

namespace hardstop {

/// Any thread may use a pool concurrently. Making one starts nothing: processes are born at the
/// first submit, and with start_method::fork they inherit the program as it is then.
///
/// In a child forked by the user, a pool of the parent throws forked_child when used and is silent
/// when destroyed. A pool may be used by jobs of another pool; it then belongs to that worker.
class process_pool {
 public:
  process_pool() : process_pool(pool_options()) {}

  /// Throws bad_options; forked_child in a job's process that was forked by the job;
  /// not_initialised in a re-executed worker that came here before hardstop::init().
  explicit process_pool(const pool_options& options) : pool_(options) {}

  process_pool(const process_pool&) = delete;
  process_pool& operator=(const process_pool&) = delete;

  /// Waits until every job has ended, like shutdown() without options.
  ~process_pool() { pool_.close(); }

  /// Runs fn(args…) in a worker. Arguments are converted to fn's parameter types and copied before
  /// this returns; the first one may be a braced list. If fn's first parameter is a
  /// std::stop_token, it is given one that is requested when the job is asked to stop.
  ///
  /// With job_options in front, usually as a braced list. Which one is meant is told by the number
  /// of arguments: a function's parameters have no defaults here.
  ///
  /// Returns at once, except with max_pending and when_full::block. Throws bad_options, queue_full,
  /// pool_closed, pool_broken, encode_error, forked_child, system_failure; then nothing was
  /// submitted.
  template <auto Function>
    requires(detail::arity<Function> == 0)
  future<detail::result_of<Function>> submit() {
    return submit_as<Function>(detail::default_job_options);
  }

  template <auto Function, class First = detail::first_parameter<Function>, class... Rest>
    requires(detail::arity<Function> == 1 + sizeof...(Rest))
  future<detail::result_of<Function>> submit(First&& first, Rest&&... rest) {
    return submit_as<Function>(detail::default_job_options, first, rest...);
  }

  template <auto Function, class... Arguments>
    requires(detail::arity<Function> != 1 + sizeof...(Arguments))
  future<detail::result_of<Function>> submit(const job_options& options, Arguments&&... arguments) {
    return submit_as<Function>(options, arguments...);
  }

  /// A wrong number of arguments: does not compile, and says so.
  template <auto Function, class... Arguments>
    requires detail::wrong_arguments<Function, job_options, Arguments...>
  future<detail::result_of<Function>> submit(Arguments&&... /*arguments*/) {
    static_cast<void>(detail::argument_count<sizeof...(Arguments), detail::arity<Function>>{});
    return {};
  }

  /// An overloaded function: say which, submit<static_cast<double (*)(double)>(&fn)>(x).
  template <detail::never an_overloaded_function_must_be_cast_to_one_signature, class... Arguments>
  void submit(Arguments&&... arguments) = delete;

  /// Runs a captureless lambda: submit([](int x) { return x * x; }, 7), or
  /// submit({.timeout = 1s}, [](int x) { … }, 7). Otherwise like the above.
  template <class Lambda, class... Arguments>
    requires(!std::same_as<Lambda, job_options>)
  auto submit(Lambda /*lambda*/, Arguments&&... arguments) {
    if constexpr (detail::can_be_job<Lambda>) {
      return submit_as<Lambda{}>(detail::default_job_options, arguments...);
    }
  }

  template <class Lambda, class... Arguments>
  auto submit(const job_options& options, Lambda /*lambda*/, Arguments&&... arguments) {
    if constexpr (detail::can_be_job<Lambda>) {
      return submit_as<Lambda{}>(options, arguments...);
    }
  }

  /// Runs fn once for each item of a range: one future per item, in order. A function of several
  /// parameters takes items that are tuples or pairs. A job that fails affects its own future only.
  ///
  /// Throws like submit; then jobs submitted so far that have not started are taken back.
  template <auto Function, class Range = std::initializer_list<detail::first_parameter<Function>>>
    requires std::ranges::input_range<Range>
  std::vector<future<detail::result_of<Function>>> map(Range&& items) {
    return map_as<Function>(detail::default_job_options, items);
  }

  template <auto Function, class Range = std::initializer_list<detail::first_parameter<Function>>>
    requires std::ranges::input_range<Range>
  std::vector<future<detail::result_of<Function>>> map(const job_options& options, Range&& items) {
    return map_as<Function>(options, items);
  }

  /// Takes no more jobs, lets those accepted finish, and ends every process; see shutdown_options:
  ///   pool.shutdown({.cancel_pending = true, .timeout = 5s});
  /// May be called again, also to make it harder. Throws would_deadlock if asked to wait in a
  /// callback (on_event, a coroutine resumed by a future), since callbacks would have to run
  /// meanwhile.
  void shutdown(const shutdown_options& options = {}) { pool_.shutdown(options); }

  [[nodiscard]] pool_stats stats() const { return pool_.stats(); }

  /// What this machine lets the pool guarantee, why not more, and what to change.
  [[nodiscard]] containment_report containment() const { return pool_.containment(); }

  /// For adapters.
  [[nodiscard]] const detail::pool_handle& handle() const noexcept { return pool_; }

 private:
  template <auto Function, class... Arguments>
  future<detail::result_of<Function>> submit_as(const job_options& options,
                                                const Arguments&... arguments) {
    return detail::future_access::make<detail::result_of<Function>>(
        detail::submit_job<Function>(pool_, options, arguments...));
  }

  template <auto Function, class Range>
  auto map_as(const job_options& options, Range& items) {
    std::vector<future<detail::result_of<Function>>> futures;
    if constexpr (std::ranges::sized_range<Range>) {
      futures.reserve(static_cast<std::size_t>(std::ranges::size(items)));
    }
    try {
      for (auto&& item : items) {
        if constexpr (detail::arity<Function> == 1) {
          futures.push_back(submit_as<Function>(options, item));
        } else {
          futures.push_back(std::apply(
              [&](const auto&... each) { return submit_as<Function>(options, each...); }, item));
        }
      }
    } catch (...) {
      for (const auto& submitted : futures)
        submitted.cancel(cancel_mode::take_back);
      throw;
    }
    return futures;
  }

  detail::pool_handle pool_;
};

/// For pool_options::initializer: runs fn(args…) once in each worker before its first job. The
/// result is dropped.
template <auto Function, class... Arguments>
[[nodiscard]] initializer initialize_with(const Arguments&... arguments) {
  static_assert(detail::is_job<Function>);
  static_assert(!detail::signature<Function>::wants_stop_token,
                "hardstop: an initializer cannot be asked to stop: drop its std::stop_token.");
  detail::encoder out{detail::encoder::flat()};
  detail::write_arguments(out, typename detail::signature<Function>::parameters(), arguments...);
  return {.function = &detail::job_body<Function>,
          .arguments = {out.bytes().begin(), out.bytes().end()}};
}

}  // namespace hardstop
