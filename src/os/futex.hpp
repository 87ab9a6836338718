// Waiting on words in memory: the only doorbells on the data path, since a job may close or reuse
// every descriptor of its worker.
//
// A futex wait works on a shared mapping that is read-only here, and across processes. Every wait
// may return for no reason: callers look at their condition again. No wait restarts after a signal
// handler ran, so that a caller can serve its signals.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

namespace hardstop::os {

// Whether the word is in memory that other processes map, too. Private is cheaper.
enum class futex_scope : std::uint8_t { shared, process };

using futex_word = std::atomic<std::uint32_t>;
static_assert(sizeof(futex_word) == 4 && futex_word::is_always_lock_free);

// CLOCK_MONOTONIC, as steady_clock is on Linux.
using wait_deadline = std::optional<std::chrono::steady_clock::time_point>;

enum class wait_end : std::uint8_t {
  woken,  // or the word did not hold the expected value, or no reason at all
  timed_out,
  interrupted,  // a signal handler ran
};

// Sleeps while the word holds `expected`, until woken.
wait_end futex_wait(const futex_word& word, std::uint32_t expected, futex_scope,
                    wait_deadline = std::nullopt);

// Wakes everybody who sleeps on the word. One system call.
void futex_wake(const futex_word& word, futex_scope);

// One of several words to wait for.
struct awaited_word {
  const futex_word* word = nullptr;
  std::uint32_t expected = 0;
  futex_scope scope = futex_scope::shared;
};

// As many words as one wait can watch without polling.
inline constexpr std::size_t most_awaited = 128;

// Sleeps while every word holds what is expected. With more than most_awaited words, or where the
// kernel (before 5.16) or a seccomp filter has no futex_waitv, it polls: it returns `woken` after a
// millisecond at the latest, a wait on the first word meanwhile. So wait only for lanes that have
// frames in them: then an idle client costs nothing there, either.
wait_end wait_any(std::span<const awaited_word> words, wait_deadline = std::nullopt);

// Whether wait_any() can watch several words without polling; probed once.
bool can_wait_any();

}  // namespace hardstop::os
