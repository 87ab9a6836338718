// Where large arguments travel: one memory file per pool, mapped for writing by the client and for
// reading by every worker.
//
// The client hands out page-aligned ranges, fills one, names it in a frame, and the job reads it in
// place. Freed ranges are used again while their pages are warm: a cold page costs five times its
// copy. A bounded amount of warm memory is kept, the rest goes back to the system. The file is
// sparse and larger than any machine's memory, so that it never needs to grow, nor a worker to map
// anew.
//
// Who runs it: any thread of the client; allocating and freeing take a short lock of their own, and
// nobody copies under it. Trust: workers cannot write here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "os/descriptor.hpp"
#include "os/error.hpp"
#include "os/mapping.hpp"
#include "wire/frame.hpp"
#include "wire/sparse_memory.hpp"

namespace hardstop::wire {

class argument_arena;

// One range, owned: given back by the destructor, at the latest when the job has its outcome. To
// retire a range (the attempt forked, so that a child may still read it) keep this object until the
// worker is confirmed gone. Silent in a forked child, where the mapping does not exist.
class arena_range {
 public:
  arena_range() = default;

  arena_range(arena_range&& other) noexcept
      : arena_(std::move(other.arena_)), place_(std::exchange(other.place_, {})) {}

  arena_range& operator=(arena_range&& other) noexcept {
    std::swap(arena_, other.arena_);
    std::swap(place_, other.place_);
    return *this;
  }

  ~arena_range();

  // Writable, aligned to the page.
  std::span<std::byte> bytes() const;

  // What goes into the frame.
  const byte_range& place() const { return place_; }

 private:
  friend class argument_arena;

  arena_range(std::shared_ptr<argument_arena> arena, byte_range place)
      : arena_(std::move(arena)), place_(place) {}

  std::shared_ptr<argument_arena> arena_;
  byte_range place_;
};

class argument_arena : public std::enable_shared_from_this<argument_arena> {
 public:
  static os::result<std::shared_ptr<argument_arena>> create(const arena_options& = {});

  argument_arena(const argument_arena&) = delete;
  argument_arena& operator=(const argument_arena&) = delete;
  ~argument_arena();

  // The descriptor for the workers: it can only be mapped for reading.
  const os::descriptor& memory() const;

  // A range of at least `length` bytes; its content is arbitrary. Fails with ENOMEM when the arena
  // is full or the system has no memory for it.
  os::result<arena_range> allocate(std::size_t length);

  struct usage {
    std::size_t in_use = 0;     // bytes of ranges alive
    std::size_t kept_warm = 0;  // bytes free but still backed by memory
  };

  usage used() const;

 private:
  friend class arena_range;
  struct state;

  argument_arena();
  void give_back(byte_range place) noexcept;

  std::unique_ptr<state> state_;
};

// A worker's view of the arena: read-only. Kept by forked children of a job, which may read the
// arguments, too.
class argument_view {
 public:
  static os::result<argument_view> open(const os::descriptor& memory, page_choice = {});

  // Nothing if the range is not within the arena.
  std::optional<std::span<const std::byte>> at(const byte_range& place) const;

  std::size_t reserved() const { return mapped_.size(); }

 private:
  os::mapping mapped_;
};

}  // namespace hardstop::wire
