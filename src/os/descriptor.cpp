#include "os/descriptor.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <utility>

namespace hardstop::os {
namespace {

// One bit for each number the kernel may hand out (its default ceiling, fs.nr_open); pages that are
// never touched cost nothing. Numbers beyond it work, but are not closed in forks.
constexpr std::size_t highest_number = 1U << 20U;
constexpr std::size_t bits_per_word = 64;

constexpr unsigned first_after_standard = 3;
constexpr std::size_t most_kept = 16;
constexpr unsigned close_range_cloexec = 1U << 2U;  // CLOSE_RANGE_CLOEXEC

// Relaxed everywhere: a bit is read only by a fork of this process, which copies memory as its
// parent saw it, and there by a single thread.
std::array<std::atomic<std::uint64_t>, highest_number / bits_per_word> owned{};
std::atomic<std::size_t> words_in_use{0};
std::atomic<std::uint32_t> current_generation{1};

std::uint64_t bit_of(int number) {
  return std::uint64_t{1} << (static_cast<std::size_t>(number) % bits_per_word);
}

void enter(int number) {
  const auto word = static_cast<std::size_t>(number) / bits_per_word;
  if (word >= owned.size()) return;
  owned[word].fetch_or(bit_of(number), std::memory_order_relaxed);
  auto in_use = words_in_use.load(std::memory_order_relaxed);
  while (in_use <= word &&
         !words_in_use.compare_exchange_weak(in_use, word + 1, std::memory_order_relaxed)) {
  }
}

void strike(int number) {
  const auto word = static_cast<std::size_t>(number) / bits_per_word;
  if (word < owned.size()) owned[word].fetch_and(~bit_of(number), std::memory_order_relaxed);
}

}  // namespace

descriptor::descriptor(int number)
    : number_{number}, generation_{current_generation.load(std::memory_order_relaxed)} {
  if (number_ >= 0) enter(number_);
}

descriptor::descriptor(descriptor&& other) noexcept
    : number_{std::exchange(other.number_, -1)}, generation_{other.generation_} {}

descriptor& descriptor::operator=(descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    number_ = std::exchange(other.number_, -1);
    generation_ = other.generation_;
  }
  return *this;
}

void descriptor::reset() noexcept {
  const int number = std::exchange(number_, -1);
  if (number < 0 || generation_ != current_generation.load(std::memory_order_relaxed)) return;
  // In this order: once closed, the number may be another thread's, which enters it anew.
  strike(number);
  ::close(number);
}

int descriptor::release() noexcept {
  const int number = std::exchange(number_, -1);
  if (number >= 0) strike(number);
  return number;
}

result<descriptor> descriptor::duplicate() const {
  const int copy = ::fcntl(number_, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return last_error("duplicating a descriptor");
  return descriptor{copy};
}

void disown_inherited(std::span<const int> keep) {
  const auto words = words_in_use.exchange(0, std::memory_order_relaxed);
  for (std::size_t word = 0; word < words; ++word) {
    auto bits = owned[word].exchange(0, std::memory_order_relaxed);
    while (bits != 0) {
      const int number = static_cast<int>(word * bits_per_word) + std::countr_zero(bits);
      bits &= bits - 1;
      if (std::find(keep.begin(), keep.end(), number) == keep.end()) ::close(number);
    }
  }
  current_generation.fetch_add(1, std::memory_order_relaxed);
}

void close_all_but(std::span<const int> keep) {
  std::array<unsigned, most_kept> sorted{};
  assert(keep.size() < sorted.size());
  auto* const end = std::copy(keep.begin(), keep.end(), sorted.begin());
  std::sort(sorted.begin(), end);
  unsigned from = first_after_standard;
  for (auto* kept = sorted.begin(); kept != end; from = std::max(from, *kept + 1), ++kept) {
    if (*kept > from) ::syscall(SYS_close_range, from, *kept - 1, 0U);
  }
  ::syscall(SYS_close_range, from, ~0U, 0U);
}

void keep_only_across_exec(std::span<const int> keep) {
  // Refused by kernels before 5.11 and some sandboxes: then what the host left open stays open, and
  // all of ours is close-on-exec anyway.
  ::syscall(SYS_close_range, first_after_standard, ~0U, close_range_cloexec);
  for (const int number : keep)
    ::fcntl(number, F_SETFD, 0);
}

}  // namespace hardstop::os
