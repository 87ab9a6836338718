// What a job needs to be dispatched: job_options::needs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace hardstop {

class semaphore;

namespace detail {

class semaphore_handle;

}  // namespace detail

/// So many permits of one semaphore, which must live until the call that this is given to returns.
struct need {
  constexpr need() noexcept = default;

  // Implicit: {.needs = {db, {gpu, 2}}}.
  need(const semaphore& of, std::uint32_t wanted = 1) noexcept;  // NOLINT(*-explicit-*)

  /// For adapters.
  constexpr need(const detail::semaphore_handle* of, std::uint32_t wanted) noexcept
      : handle(of), count(wanted) {}

  const detail::semaphore_handle* handle = nullptr;
  std::uint32_t count = 1;
};

/// Up to eight of them, each semaphore once. Trivially destructible, as job_options are.
class needs {
 public:
  static constexpr std::size_t most = 8;

  constexpr needs() noexcept = default;

  constexpr needs(std::initializer_list<need> all) : needs(std::span(all.begin(), all.size())) {}

  constexpr explicit needs(std::span<const need> all) : size_(all.size()) {
    for (std::size_t at = 0; at < all.size() && at < most; ++at)
      all_[at] = all[at];
  }

  /// How many were given; those beyond `most` are refused by submit.
  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }

  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }

  [[nodiscard]] constexpr std::span<const need> all() const noexcept {
    return {all_.data(), size_ < most ? size_ : most};
  }

 private:
  std::array<need, most> all_{};
  std::size_t size_ = 0;
};

}  // namespace hardstop
