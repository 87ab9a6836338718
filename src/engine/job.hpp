// One job: what the scheduler links, what a future waits for, and what travels.
//
// A job is made by submit() and referred to by its futures and by the engine until it has ended. Three kinds of
// members, by who may touch them:
//   - under the engine's lock: the scheduler's node, the way in (function, arguments, options), where it runs;
//   - by the thread that ends it, before `settle()` publishes it: how it ended and its result;
//   - by anyone, at any time: the counted references, the settled word, the list of continuations.
// Memory comes from a stock that is never given back to the system while the engine lives (job_stock.hpp).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <hardstop/detail/engine.hpp>

#include "engine/bytes.hpp"
#include "engine/large.hpp"
#include "os/futex.hpp"
#include "schedule/model.hpp"
#include "wire/frame.hpp"

namespace hardstop::engine {

class engine;

}  // namespace hardstop::engine

namespace hardstop::detail {

class job final : public schedule::job {
 public:
  // --- references, and whether it is done; any thread

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }

  // True: that was the last one, and the caller gives the job back to the stock.
  [[nodiscard]] bool release() noexcept { return references_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  [[nodiscard]] bool done() const noexcept { return settled_.load(std::memory_order_acquire) == settled; }

  // For a thread that is about to sleep until done: the word to wait on. settle() knows from it that a system call is
  // owed; a job that is done already gives a word that does not hold what is expected.
  [[nodiscard]] os::awaited_word announce() const noexcept;

  // Publishes how it ended. Returns what waits for it, to be run by the caller; wakes threads that wait.
  [[nodiscard]] continuation* settle() noexcept;

  // False: it is done already, run it yourself.
  [[nodiscard]] bool add(continuation& then) noexcept;

  // --- the way in

  std::uint64_t generation = 0;  // of the process that made it (os/same_process.hpp)
  engine::engine* home = nullptr;
  wire::function_id function;
  engine::owned_bytes bytes;  // arguments until it has ended, then the result
  std::unique_ptr<engine::large_arguments> large_in;
  std::chrono::nanoseconds grace{0};
  std::uint64_t max_memory = 0;
  std::unique_ptr<std::string> own_name;  // job_options::name
  std::string_view default_name;          // the function's
  hardstop::leftovers leftovers = hardstop::leftovers::keep;
  stop_token_use stop_token = stop_token_use::none;

  [[nodiscard]] std::string_view name() const noexcept { return own_name ? *own_name : default_name; }

  // --- where it runs

  wire::slot_index slot = 0;
  int pid = 0;  // of its last attempt's worker
  schedule::instant submitted_at{};

  // --- how it ended

  outcome_kind kind = outcome_kind::value;
  bool cancel_came_late = false;  // it was asked to stop, and finished first
  std::chrono::nanoseconds ran_for{0};
  std::unique_ptr<hardstop::outcome> ended;  // all but a plain value
  std::unique_ptr<engine::large_result> large_out;

 private:
  static constexpr std::uint32_t pending = 0;
  static constexpr std::uint32_t awaited = 1;  // pending, and somebody sleeps
  static constexpr std::uint32_t settled = 2;

  std::atomic<std::uint32_t> references_{1};
  mutable std::atomic<std::uint32_t> settled_{pending};
  std::atomic<continuation*> waiting_{nullptr};
};

}  // namespace hardstop::detail

namespace hardstop::engine {
using detail::job;
}
