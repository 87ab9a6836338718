// One pool as the client knows it: its options, its guardian, its workers. Guarded by the engine's
// lock, but for what is fixed when it is made.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/worker.hpp"
#include "engine/worker_language.hpp"
#include "guardian/birth.hpp"
#include "os/descriptor.hpp"
#include "os/futex.hpp"
#include "wire/arena.hpp"
#include <hardstop/detail/engine.hpp>

namespace hardstop::engine {

class engine;

// The line to a guardian, from birth until warden and guardian are both gone.
struct guardian_line {
  guardian::born link;
  std::deque<std::pair<wire::encoded, std::vector<os::descriptor>>> unsent;  // the socket was full
  unsigned unanswered = 0;  // spawns and kills it has not reported on
  std::uint64_t heard = 0;  // messages received
  std::uint64_t pings = 0;
  // The watch over a guardian that owes an answer (check_lines).
  schedule::instant check_at = schedule::never;
  std::uint64_t heard_at_check = 0;
  int silent_checks = 0;
  bool lost = false;  // the scheduler was told
  bool dismissed = false;
};

}  // namespace hardstop::engine

namespace hardstop::detail {

// What a pool_handle holds. Lives as long as a handle or the engine needs it.
class pool final : public schedule::pool, public std::enable_shared_from_this<pool> {
 public:
  pool(pool_options chosen, std::shared_ptr<engine::worker_language> spoken)
      : options(std::move(chosen)), language(std::move(spoken)) {}

  const pool_options options;
  const std::shared_ptr<engine::worker_language> language;
  std::string name;
  engine::engine* home = nullptr;

  wire::function_id initializer;  // where its function is; options hold its arguments
  std::once_flag prepared;
  std::shared_ptr<wire::argument_arena> arguments;  // made at the first submit

  std::shared_ptr<engine::guardian_line> line;  // null while there is no guardian
  std::unordered_map<std::uint64_t, std::unique_ptr<engine::worker>> members;

  // What waits until the dead are accounted for; see engine::postpones_chores().
  struct {
    std::vector<wire::worker_id> births;
    std::vector<std::unique_ptr<engine::worker>> graveyard;
    schedule::instant resume_at{};
  } chores;

  std::size_t dying = 0;  // workers that were killed and are not known to be gone

  // 1 once everything is gone.
  std::atomic<std::uint32_t> closed{0};
  // News on its way to options.on_event; whoever waits for the pool's end waits for this, too.
  std::atomic<std::uint32_t> untold{0};
  // Changes whenever there may be room for one more pending job.
  std::atomic<std::uint32_t> room{0};
  std::atomic<std::uint32_t> waiting_for_room{0};
  bool entered = false;  // the engine's threads run for it; guarded by the engine's lifecycle lock

  bool told_broken = false;  // the event was sent

  // Numbers for stats().
  pool_stats numbers;
};

}  // namespace hardstop::detail

namespace hardstop::engine {
using detail::pool;
}
