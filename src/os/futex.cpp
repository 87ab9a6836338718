#include "os/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

namespace hardstop::os {
namespace {

using std::chrono::steady_clock;

// As <linux/futex.h> has them since 5.16; the headers of the build machine may be older.
struct waitv_entry {
  std::uint64_t value;
  std::uint64_t address;
  std::uint32_t flags;
  std::uint32_t reserved;
};

constexpr std::uint32_t waitv_size_32 = 2;
constexpr std::uint32_t waitv_private = 128;
#ifdef SYS_futex_waitv
constexpr long waitv_number = SYS_futex_waitv;
#else
constexpr long waitv_number = 449;  // the same on every architecture
#endif

constexpr auto poll_interval = std::chrono::milliseconds(1);

timespec to_timespec(steady_clock::time_point time) {
  const auto since_boot = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_boot);
  return {.tv_sec = seconds.count(),
          .tv_nsec = std::chrono::nanoseconds(since_boot - seconds).count()};
}

wait_end end_of(long status) {
  if (status >= 0) return wait_end::woken;
  if (errno == ETIMEDOUT) return wait_end::timed_out;
  if (errno == EINTR) return wait_end::interrupted;
  return wait_end::woken;
}

int with_scope(int operation, futex_scope scope) {
  return scope == futex_scope::process ? operation | FUTEX_PRIVATE_FLAG : operation;
}

long waitv(std::span<const waitv_entry> entries, const timespec* deadline) {
  return syscall(waitv_number, entries.data(), entries.size(), 0, deadline, CLOCK_MONOTONIC);
}

bool probe_waitv() {
  const futex_word word{1};
  const waitv_entry entry{.value = 0,
                          .address = reinterpret_cast<std::uintptr_t>(&word),
                          .flags = waitv_size_32 | waitv_private,
                          .reserved = 0};
  // It must notice that the word holds another value. ENOSYS or EPERM: not for us.
  return waitv({&entry, 1}, nullptr) < 0 && errno == EAGAIN;
}

// The words cannot be watched together: sleep on one of them, for a bounded time.
wait_end poll_any(std::span<const awaited_word> words, wait_deadline deadline) {
  const auto next_look = steady_clock::now() + poll_interval;
  const bool last = deadline && *deadline <= next_look;
  const awaited_word& first = words.front();
  const auto end =
      futex_wait(*first.word, first.expected, first.scope, last ? *deadline : next_look);
  return end == wait_end::timed_out && !last ? wait_end::woken : end;
}

}  // namespace

wait_end futex_wait(const futex_word& word, std::uint32_t expected, futex_scope scope,
                    wait_deadline deadline) {
  timespec until{};
  if (deadline) until = to_timespec(*deadline);
  // The bitset form takes an absolute time of CLOCK_MONOTONIC.
  return end_of(syscall(SYS_futex, &word, with_scope(FUTEX_WAIT_BITSET, scope), expected,
                        deadline ? &until : nullptr, nullptr, FUTEX_BITSET_MATCH_ANY));
}

void futex_wake(const futex_word& word, futex_scope scope) {
  (void)syscall(SYS_futex, &word, with_scope(FUTEX_WAKE, scope), INT_MAX, nullptr, nullptr, 0);
}

wait_end wait_any(std::span<const awaited_word> words, wait_deadline deadline) {
  if (words.empty()) return wait_end::woken;
  if (words.size() == 1) {
    return futex_wait(*words[0].word, words[0].expected, words[0].scope, deadline);
  }
  // Relaxed: only whether to sleep is decided; what the word announces is read with an order of its
  // own by the caller. The kernel compares again, atomically with going to sleep.
  if (std::any_of(words.begin(), words.end(), [](const awaited_word& awaited) {
        return awaited.word->load(std::memory_order_relaxed) != awaited.expected;
      })) {
    return wait_end::woken;
  }
  if (words.size() > most_awaited || !can_wait_any()) return poll_any(words, deadline);

  std::array<waitv_entry, most_awaited> entries;  // NOLINT(*-member-init): filled below
  std::transform(words.begin(), words.end(), entries.begin(), [](const awaited_word& awaited) {
    return waitv_entry{
        .value = awaited.expected,
        .address = reinterpret_cast<std::uintptr_t>(awaited.word),
        .flags = waitv_size_32 | (awaited.scope == futex_scope::process ? waitv_private : 0),
        .reserved = 0};
  });
  timespec until{};
  if (deadline) until = to_timespec(*deadline);
  return end_of(waitv({entries.data(), words.size()}, deadline ? &until : nullptr));
}

bool can_wait_any() {
  static const bool can = probe_waitv();
  return can;
}

}  // namespace hardstop::os
