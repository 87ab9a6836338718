// A fuzzer's bytes, taken as choices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

namespace hardstop::fuzz {

class input {
 public:
  input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  bool empty() const { return rest_.empty(); }

  // Zeros once there is nothing left.
  template <class T>
  T take() {
    T value{};
    const auto bytes = take_bytes(sizeof value);
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }

  // As many as there are, at most `most`.
  std::span<const std::uint8_t> take_bytes(std::size_t most) {
    const auto taken = rest_.first(most < rest_.size() ? most : rest_.size());
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

  std::span<const std::uint8_t> take_all() { return take_bytes(rest_.size()); }

 private:
  std::span<const std::uint8_t> rest_;
};

// What must hold whatever the input is.
inline void require(bool holds) {
  if (!holds) std::abort();
}

// Reads every byte, so that a sanitizer sees where they lie.
inline void touch(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes)
    sum += static_cast<unsigned>(byte);
  asm volatile("" : : "r"(sum));
}

}  // namespace hardstop::fuzz
