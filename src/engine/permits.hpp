// Semaphores and claims as the engine keeps them: the scheduler's rows with names, owners and those
// who wait. Guarded by the engine's lock, but for what is said to be anyone's.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "os/futex.hpp"
#include "schedule/permits.hpp"
#include <hardstop/detail/engine.hpp>

namespace hardstop::engine {

class engine;
struct worker;

}  // namespace hardstop::engine

namespace hardstop::detail {

// A row of the table. Lives as long as a handle, a claim, or the engine (once it has travelled).
class semaphore final : public schedule::semaphore {
 public:
  semaphore(engine::engine& of, std::uint64_t number, std::uint32_t count, std::string text)
      : schedule::semaphore(count), home(&of), id(number), name(std::move(text)) {}

  engine::engine* const home;
  const std::uint64_t id;
  const std::string name;
};

// One request for permits, by somebody in the client or by an attempt.
class claim final : public schedule::permit_claim {
 public:
  explicit claim(engine::engine& of) : home(&of) {}

  void want_of(std::shared_ptr<semaphore> row, std::uint32_t count) {
    want(*row, count);
    rows.push_back(std::move(row));
  }

  engine::engine* const home;
  std::vector<std::shared_ptr<semaphore>> rows;  // kept while it is asked for

  // In the client: what it waits on; any thread may look. Set once, when it has been granted.
  os::futex_word settled{0};
  continuation* then = nullptr;
  std::shared_ptr<claim> self;  // while it waits
  std::string who;              // in the client, or once its job has ended

  // Of an attempt.
  engine::worker* at = nullptr;
  std::uint64_t request = 0;  // the worker's number for it
  std::string unconfirmed;    // why it is kept
};

}  // namespace hardstop::detail

namespace hardstop::engine {
using detail::claim;
}
