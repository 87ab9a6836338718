// A job cancelled from a coroutine: two algorithms race, `||` takes the first answer and cancels
// the other, and because that is a job, it is over.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>

#include "acts.hpp"
#include "carriers.hpp"
#include <hardstop/integration/asio.hpp>
#include <hardstop/pool.hpp>

using namespace asio::experimental::awaitable_operators;

namespace demo {

namespace {

// Fast where the two factors are near each other.
std::uint64_t fermat(std::uint64_t number) {
  auto middle = static_cast<std::uint64_t>(std::ceil(std::sqrt(static_cast<double>(number))));
  while (middle * middle < number)
    ++middle;
  for (;; ++middle) {
    const std::uint64_t rest = middle * middle - number;
    const auto root =
        static_cast<std::uint64_t>(std::llround(std::sqrt(static_cast<double>(rest))));
    if (root * root == rest) return middle - root;
  }
}

// Fast where one factor is small.
std::uint64_t trial_division(std::uint64_t number, const std::string& mark) {
  bear(mark);
  if (number % 2 == 0) return 2;
  for (std::uint64_t factor = 3; factor <= number / factor; factor += 2) {
    if (number % factor == 0) return factor;
  }
  return number;
}

// What is known of the loser.
struct finish {
  carriers running;
  std::optional<hardstop::outcome> loser;
};

asio::awaitable<std::uint64_t> run_fermat(hardstop::process_pool& pool, std::uint64_t number,
                                          const std::string& mark, finish& seen) {
  const auto factor = co_await hardstop::async_submit<&fermat>(pool, number, asio::use_awaitable);
  seen.running = find_carriers(mark);
  co_return factor;
}

asio::awaitable<std::uint64_t> run_trial_division(hardstop::process_pool& pool,
                                                  std::uint64_t number, const std::string& mark,
                                                  finish& seen) {
  try {
    co_return co_await hardstop::async_submit<&trial_division>(pool, number, mark,
                                                               asio::use_awaitable);
  } catch (const hardstop::job_cancelled& stopped) {
    seen.loser = stopped.outcome();
    throw;
  }
}

asio::awaitable<std::uint64_t> factor_of(hardstop::process_pool& pool, std::uint64_t number,
                                         const std::string& mark, finish& seen) {
  const auto first = co_await (run_fermat(pool, number, mark, seen) ||
                               run_trial_division(pool, number, mark, seen));
  co_return std::visit([](std::uint64_t factor) { return factor; }, first);
}

}  // namespace

act race(screen& out) {
  constexpr std::uint64_t number = 8'502'000'152'270'000'287;
  const std::string mark = new_mark("race");

  out.begin_act("a computation that loses a race of coroutines");
  out.line("work", "factor " + std::to_string(number) + ": Fermat's method || trial division");
  out.line("normally", "cancelling the loser's coroutine leaves its computation running");

  hardstop::process_pool pool{{.workers = 2}};
  asio::io_context loop;
  std::uint64_t factor = 0;
  finish seen;
  asio::co_spawn(loop, factor_of(pool, number, mark, seen),
                 [&](const std::exception_ptr& failed, std::uint64_t found) {
                   if (failed) std::rethrow_exception(failed);
                   factor = found;
                 });
  loop.run();

  if (!seen.loser) throw std::runtime_error("trial division was not cancelled while it ran");
  out.show_running(seen.running);
  out.line("stopped", "by ||, as Fermat found " + std::to_string(factor) + " x " +
                          std::to_string(number / factor));
  return out.end_act(mark, *seen.loser, pool.stats());
}

}  // namespace demo
