#include "wire/lane_signals.hpp"

#include <utility>

#include "os/mapping.hpp"
#include "wire/layout.hpp"
#include "wire/spin.hpp"

namespace hardstop::wire {
namespace {

// The thread that reads may move the head meanwhile, and the worker then write anything to where it
// was: so this load races with plain stores. That is harmless, and a thread sanitizer should not
// object.
__attribute__((no_sanitize("thread"))) std::uint64_t look_at_mark(const std::byte* at) {
  // seq_cst: the second look of a sleeper, which must not be done before arm()'s store. Spelt out:
  // load_word() would be sanitized.
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(at), __ATOMIC_SEQ_CST);
}

}  // namespace

lane_signals::lane_signals(std::shared_ptr<const os::mapping> memory)
    : memory_(std::move(memory)) {}

lane_layout& lane_signals::lane() const {
  return lane_in(*memory_);
}

void lane_signals::ring() const {
  lane().client.ringer_cpu.store(current_cpu(), std::memory_order_relaxed);
  auto& bell = lane().client.worker_bell;
  // Relaxed: the worker compares the bell only to decide whether to sleep; what was published is
  // ordered by its own word, and the system call is a full barrier between the two.
  bell.fetch_add(1, std::memory_order_relaxed);
  os::futex_wake(bell, os::futex_scope::shared);
}

bool lane_signals::has_report() const {
  const std::uint64_t position = lane().client.report_head.load(std::memory_order_relaxed);
  return look_at_mark(lane().worker.reports.data() + position % report_ring_bytes) ==
         report_mark(position, lane().client.report_salt);
}

bool lane_signals::has_news() const {
  if (has_report()) return true;
  // A tail that is ahead of a report that is not there: it has come this moment, or the head has
  // moved, or it was scribbled over. All are reasons to read. Relaxed: for a sleeper the mark alone
  // decides, which is loaded first and stored first.
  return is_behind(lane().client.report_head.load(std::memory_order_relaxed),
                   lane().worker.report_tail.load(std::memory_order_relaxed));
}

os::awaited_word lane_signals::arm(listener who) const {
  const auto index = static_cast<std::size_t>(who);
  const auto& bell = lane().worker.client_bell[index];
  // The bell before the announcement: whoever rings because of it changes the bell after this load.
  const std::uint32_t expected = bell.load(std::memory_order_acquire);
  constexpr std::uint64_t one_more_sleep = (std::uint64_t{1} << sleep_count_bits) + 1;
  lane().client.client_sleep[index].fetch_add(one_more_sleep, std::memory_order_seq_cst);
  return {.word = &bell, .expected = expected, .scope = os::futex_scope::shared};
}

void lane_signals::disarm(listener who) const {
  // Relaxed: a worker that sees it late rings once for nothing.
  lane().client.client_sleep[static_cast<std::size_t>(who)].fetch_sub(1, std::memory_order_relaxed);
}

void lane_signals::attend() const {
  // Relaxed: a worker that sees it late tells the resident for nothing. One that sees it relies on
  // the attendant's looking for news, which it does after arm() at the latest.
  lane().client.attended.store(1, std::memory_order_relaxed);
}

void lane_signals::unattend() const {
  // seq_cst, before the attendant's last look: a worker that published before it and still told
  // the attendant is seen by that look; one that publishes later tells the resident.
  lane().client.attended.store(0, std::memory_order_seq_cst);
}

int lane_signals::worker_cpu() const {
  return lane().worker.worker_cpu.load(std::memory_order_relaxed);
}

void lane_signals::publish_cpu(int cpu) const {
  auto& word = lane().client.client_cpu;
  // Stored only when it changes, so that the line stays shared with a worker that reads it.
  if (word.load(std::memory_order_relaxed) != cpu) word.store(cpu, std::memory_order_relaxed);
}

}  // namespace hardstop::wire
