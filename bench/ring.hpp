// The least that a round trip between two processes can cost: one cache line each way, a futex
// where the reader sleeps. No queue, no job, no future: the peer that a lane is measured against.
//
// It follows the lanes' rules for spinning to the letter (wire/spin.hpp), so that what differs is
// the work, not the waiting.
#pragma once

#include <atomic>
#include <cstdint>

#include "os/futex.hpp"
#include "wire/spin.hpp"

namespace bench {

// One direction. Lives in shared memory; one writer, one reader.
class one_way {
 public:
  // Writer: makes `number` the latest message; wakes the reader if it sleeps.
  void post(std::uint64_t number) {
    // seq_cst, as in asleep_: either the reader sees the message or we see that it sleeps.
    posted_.store(number, std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_seq_cst) == 0) return;
    bell_.fetch_add(1, std::memory_order_release);
    hardstop::os::futex_wake(bell_, hardstop::os::futex_scope::shared);
  }

  // Reader: waits for that message. Spins only if that has paid lately and the writer is not seen
  // on this CPU (or is asleep: -1, if `only_if_awake`).
  enum class spin_beside : std::uint8_t { awake_writer, any_writer };
  void wait(std::uint64_t number, const one_way& opposite, hardstop::wire::spin_score& score,
            spin_beside whom);

 private:
  [[nodiscard]] bool there(std::uint64_t number) const {
    return posted_.load(std::memory_order_seq_cst) >= number;
  }

  alignas(64) std::atomic<std::uint64_t> posted_{0};
  alignas(64) hardstop::os::futex_word bell_{0};
  std::atomic<std::uint32_t> asleep_{0};
  std::atomic<int> reader_cpu_{-1};  // -1: it sleeps
};

struct ring {
  one_way there;
  one_way back;
};

}  // namespace bench
