// What the client says to a job that runs: who should stop, and answers to its requests. For
// listener threads in a worker; any thread may use it. Read-only memory here, trusted.
#pragma once

#include <cstdint>
#include <optional>

#include "os/futex.hpp"
#include "wire/frame.hpp"

namespace hardstop::wire {

struct lane_layout;

// An answer to a report of kind query.
struct client_answer {
  std::uint64_t id = 0;
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

class client_words {
 public:
  explicit client_words(lane_layout& lane) : lane_(&lane) {}

  // The attempt that was last asked to stop.
  ticket asked() const;

  // Changes when somebody is asked or answered: read it, look at what was said, then wait on it.
  os::awaited_word bell() const;

  // The next answer not taken yet, in the order they were given. One thread at a time.
  std::optional<client_answer> take_answer() const;

 private:
  lane_layout* lane_;
};

}  // namespace hardstop::wire
