// One job: what the scheduler links, what a future waits for, and what travels.
//
// A job is made by submit() and referred to by its futures and by the engine until it has ended.
// Three kinds of members, by who may touch them:
//   - under the engine's lock: the scheduler's node, the way in (function, arguments, options),
//   where it runs;
//   - by the thread that ends it, before `settle()` publishes it: how it ended and its result;
//   - by anyone, at any time: the counted references, the settled word, the list of continuations.
// Memory comes from a stock that is never given back to the system while the engine lives
// (job_stock.hpp).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/bytes.hpp"
#include "engine/large.hpp"
#include "os/futex.hpp"
#include "schedule/model.hpp"
#include "schedule/permits.hpp"
#include "wire/frame.hpp"
#include <hardstop/detail/engine.hpp>

namespace hardstop::engine {

class engine;

}  // namespace hardstop::engine

namespace hardstop::detail {

class job final : public schedule::job {
 public:
  // --- references, and whether it is done; any thread

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }

  // True: that was the last one, and the caller gives the job back to the stock.
  [[nodiscard]] bool release() noexcept {
    return references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  [[nodiscard]] bool done() const noexcept {
    return settled_.load(std::memory_order_acquire) == settled;
  }

  // For a thread that is about to sleep until done: the word to wait on. settle() knows from it
  // that a system call is owed; a job that is done already gives a word that does not hold what is
  // expected.
  [[nodiscard]] os::awaited_word announce() const noexcept;

  // Publishes how it ended. Returns what waits for it, to be run by the caller; wakes threads that
  // wait.
  [[nodiscard]] continuation* settle() noexcept;

  // False: it is done already, run it yourself.
  [[nodiscard]] bool add(continuation& then) noexcept;

  // --- the way in

  engine::engine* home = nullptr;
  wire::function_id function;
  engine::owned_bytes bytes;  // arguments until it has ended, then the result
  std::chrono::nanoseconds grace{0};
  std::string_view default_name;  // the function's
  hardstop::leftovers leftovers = hardstop::leftovers::keep;
  stop_token_use stop_token = stop_token_use::none;

  [[nodiscard]] std::string_view name() const noexcept {
    return extra_ && !extra_->name.empty() ? extra_->name : default_name;
  }

  // --- where it runs

  wire::slot_index slot = 0;
  int pid = 0;  // of its last attempt's worker
  schedule::instant submitted_at{};

  // --- how it ended

  outcome_kind kind = outcome_kind::value;
  bool stamped = false;           // its frame asked for the time of its claim
  bool cancel_came_late = false;  // it was asked to stop, and finished first
  std::chrono::nanoseconds ran_for{0};

  // --- what few jobs have, and no job should pay for

  struct extras {
    std::string name;              // job_options::name
    std::uint64_t max_memory = 0;  // bytes; 0: no limit
    std::unique_ptr<engine::large_arguments> large_in;
    std::unique_ptr<engine::large_result> large_out;
    std::unique_ptr<hardstop::outcome> ended;  // all but a plain value
    std::vector<std::byte> news;               // the last that its attempt has sent
    news_listener* listener = nullptr;         // who wants to be told
    std::string shield_reason;                 // of its last shielded section
    schedule::job_permits permits;  // the scheduler's; its claims are the engine's to free
  };

  // Null if it has none of them.
  [[nodiscard]] extras* extra() const noexcept { return extra_.get(); }

  extras& make_extra() {
    if (!extra_) extra_ = std::make_unique<extras>();
    return *extra_;
  }

  [[nodiscard]] engine::large_result* large_out() const noexcept {
    return extra_ ? extra_->large_out.get() : nullptr;
  }

  [[nodiscard]] std::uint64_t max_memory() const noexcept {
    return extra_ ? extra_->max_memory : 0;
  }

 private:
  static constexpr std::uint32_t pending = 0;
  static constexpr std::uint32_t awaited = 1;  // pending, and somebody sleeps
  static constexpr std::uint32_t settled = 2;

  std::atomic<std::uint32_t> references_{1};
  mutable std::atomic<std::uint32_t> settled_{pending};
  std::atomic<continuation*> waiting_{nullptr};
  std::unique_ptr<extras> extra_;
};

}  // namespace hardstop::detail

namespace hardstop::engine {
using detail::job;
}
