// Where large results travel: one sparse memory file per worker, written by the worker and read in
// place by the client.
//
// The worker allocates (it knows the size first), the client releases: each range is named once in
// a ring of the lane that only the client writes. The ring has a place for every range that can be
// alive at a time, so that releasing never waits.
//
// No deadlock with futures that nobody reads: a worker has at most live_ranges ranges. When that
// many are alive it waits for a release; the client promises that one will come, by copying results
// out when they are many (crowded()) instead of keeping them in place. What has been published but
// not yet read is drained by the engine whatever users do, and one result has at most max_ranges of
// them, so the wait always ends.
//
// Trust: everything in the arena is as trustworthy as its worker, which may still write to it while
// the client reads. Sealed, so that reading cannot fault. The client maps it writable, for results
// that are views of it and that their user may change; what it wrote there nobody reads again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "os/descriptor.hpp"
#include "os/error.hpp"
#include "wire/frame.hpp"
#include "wire/lane_signals.hpp"
#include "wire/sparse_memory.hpp"

namespace hardstop::wire {

// Ranges of one worker that may be alive at a time.
inline constexpr std::size_t live_ranges = 4096;

class client_results;
class worker_lane;

// One range of a result, owned: released by the destructor, from any thread, also after the worker,
// its lane and its pool are gone. Silent in a forked child, where the mapping does not exist.
class result_range {
 public:
  result_range() = default;

  result_range(result_range&& other) noexcept
      : results_(std::move(other.results_)), place_(std::exchange(other.place_, {})) {}

  result_range& operator=(result_range&& other) noexcept {
    std::swap(results_, other.results_);
    std::swap(place_, other.place_);
    return *this;
  }

  ~result_range();

  // Aligned to the page. The worker may change it while it lives.
  std::span<const std::byte> bytes() const;

 private:
  friend class client_results;

  result_range(std::shared_ptr<client_results> results, byte_range place)
      : results_(std::move(results)), place_(place) {}

  std::shared_ptr<client_results> results_;
  byte_range place_;
};

// The client's side; thread-safe.
class client_results : public std::enable_shared_from_this<client_results> {
 public:
  static os::result<std::shared_ptr<client_results>> create(const lane_signals&,
                                                            const arena_options& = {});

  client_results(const client_results&) = delete;
  client_results& operator=(const client_results&) = delete;
  ~client_results();

  // The descriptor for the worker.
  const os::descriptor& memory() const;

  // Takes over a range named in a report. Nothing if it cannot be one: outside of the arena, not on
  // a page's start, more alive than there can be. That worker is corrupt.
  std::optional<result_range> adopt(const byte_range& place);

  // So many are alive that the next results should be copied and released at once, see above.
  bool crowded() const;

  // The worker is confirmed gone: memory that no result_range holds goes back to the system now,
  // that of the others when they are released.
  void worker_gone();

 private:
  friend class result_range;
  struct state;

  client_results();
  void release(byte_range place) noexcept;

  std::unique_ptr<state> state_;
};

// The worker's side; the loop's thread.
class worker_results {
 public:
  static os::result<worker_results> open(const os::descriptor& memory, page_choice = {});

  worker_results(worker_results&&) noexcept;
  worker_results& operator=(worker_results&&) noexcept;
  ~worker_results();

  // A range of at least `length` bytes, content arbitrary. Waits for a release when live_ranges are
  // alive. Fails with ENOMEM when the arena is full or the system has no memory.
  os::result<byte_range> allocate(std::size_t length, worker_lane&);

  std::span<std::byte> at(const byte_range& place) const;

  // Of a range that was never reported.
  void give_back(const byte_range& place);

  std::size_t reserved() const;

 private:
  struct state;

  worker_results();
  void collect(worker_lane&);

  std::unique_ptr<state> state_;
};

}  // namespace hardstop::wire
