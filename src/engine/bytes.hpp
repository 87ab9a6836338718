// A run of bytes that is owned: small ones in the object itself, larger ones on the heap.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace hardstop::engine {

class owned_bytes {
 public:
  static constexpr std::size_t alignment = 16;
  static constexpr std::size_t inline_capacity = 48;

  owned_bytes() = default;
  owned_bytes(const owned_bytes&) = delete;
  owned_bytes& operator=(const owned_bytes&) = delete;
  ~owned_bytes() = default;

  void assign(std::span<const std::byte> source) {
    std::byte* into = small_;
    if (source.size() > inline_capacity) {
      large_ = std::make_unique_for_overwrite<std::byte[]>(source.size());
      into = large_.get();
    }
    if (!source.empty()) std::memcpy(into, source.data(), source.size());
    if (source.size() <= inline_capacity) large_.reset();
    size_ = source.size();
  }

  void clear() noexcept {
    large_.reset();
    size_ = 0;
  }

  [[nodiscard]] std::span<const std::byte> view() const noexcept {
    return {large_ ? large_.get() : small_, size_};
  }

 private:
  std::unique_ptr<std::byte[]> large_;
  std::size_t size_ = 0;
  alignas(alignment) std::byte small_[inline_capacity];
};

}  // namespace hardstop::engine
