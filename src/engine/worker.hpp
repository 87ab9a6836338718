// One worker as the client knows it: the scheduler's node, its lane, its process. Guarded by the
// engine's lock.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/job.hpp"
#include "os/descriptor.hpp"
#include "os/pidfd.hpp"
#include "schedule/pool.hpp"
#include "wire/client_lane.hpp"
#include "wire/control.hpp"
#include "wire/results.hpp"

namespace hardstop::engine {

struct captures {
  os::descriptor output;
  os::descriptor error;
  std::uint64_t output_read = 0;  // where the attempt before ended
  std::uint64_t error_read = 0;
};

// What a worker shares with the client, made before it is asked for.
struct worker_memory {
  std::unique_ptr<wire::client_lane> lane;
  std::shared_ptr<wire::client_results> results;
  captures captured;
  std::string failure;  // not empty: there is none, and why
};

struct worker : schedule::worker {
  wire::worker_id id{};

  // Empty until the worker's memory is made, which happens outside of the lock (spawning.cpp).
  std::unique_ptr<wire::client_lane> channel;
  std::shared_ptr<wire::client_results> results;
  captures captured;

  os::pidfd process;        // empty until the guardian has told
  bool asked_for = false;   // the guardian was told to make it
  bool ready = false;       // it said so
  bool killed = false;      // SIGKILL was asked for
  bool awaited = false;     // killed, and its guardian owes the account of it (pool::dying)
  bool exit_asked = false;  // request_exit was asked for
  bool touched = false;     // stands in the turn's list of lanes to ring
  schedule::instant killed_at{};
  schedule::instant last_end{};  // when the end of an attempt was last read from its lane

  std::string last_words;         // start_failed, or what was corrupt, or where its job was
  os::descriptor answer;          // being written: where its job is (last_words.cpp)
  schedule::instant strike_at{};  // at the earliest

  // Jobs that have finished, and whose leftovers are to be gone before anybody hears of it.
  std::vector<job*> held;

  // Memory (memory.cpp).
  os::descriptor statm;
  std::uint64_t memory_at_ready = 0;
  std::uint64_t memory_seen = 0;

  // Arguments that a forked child of an attempt may still read: kept until the tree is gone.
  std::vector<std::unique_ptr<large_arguments>> retired;
};

}  // namespace hardstop::engine
