// Arguments and results too large for a lane: ranges of shared memory. Rare, so that a job holds
// only a pointer.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <vector>

#include "wire/arena.hpp"
#include "wire/results.hpp"
#include <hardstop/detail/encoding.hpp>

namespace hardstop::engine {

// Owned by the job until it has ended, or by its worker until that is gone if a forked child may
// still read them.
struct large_arguments {
  std::optional<wire::arena_range> payload;
  std::vector<wire::arena_range> segments;
  std::vector<wire::byte_range> places;  // of the segments, as a frame lists them

  // Copies what does not fit into a lane; null if all does. Without the engine's lock: this is
  // where large arguments are copied. Throws encode_error, system_failure.
  static std::unique_ptr<large_arguments> of(const detail::encoder&, wire::argument_arena&);
};

class large_result {
 public:
  // The ranges named in a report; null if they cannot be this worker's.
  static std::unique_ptr<large_result> adopt(const std::shared_ptr<wire::client_results>& from,
                                             const std::optional<wire::byte_range>& payload,
                                             std::span<const wire::byte_range> segments);

  [[nodiscard]] bool has_payload() const noexcept { return payload_.has_value(); }

  [[nodiscard]] std::span<const std::byte> payload() const noexcept {
    return payload_ ? payload_->bytes() : std::span<const std::byte>{};
  }

  // Empty if there is no such segment.
  [[nodiscard]] std::span<const std::byte> segment(std::size_t index) const noexcept {
    return index < segments_.size() ? segments_[index].bytes() : std::span<const std::byte>{};
  }

  // Gives the worker its memory back where it runs out of it because many results are unread: then
  // copies are kept. Without the engine's lock.
  void make_room();

 private:
  // A piece in place, or its copy.
  class piece {
   public:
    explicit piece(wire::result_range shared) : shared_(std::move(shared)) {}

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
      return own_ ? std::span<const std::byte>{own_.get(), size_} : shared_.bytes();
    }

    void copy();

   private:
    static constexpr std::align_val_t alignment{64};

    struct freed {
      void operator()(std::byte* memory) const noexcept { ::operator delete[](memory, alignment); }
    };

    wire::result_range shared_;
    std::unique_ptr<std::byte[], freed> own_;
    std::size_t size_ = 0;
  };

  std::shared_ptr<wire::client_results> from_;
  std::optional<piece> payload_;
  std::vector<piece> segments_;
};

}  // namespace hardstop::engine
