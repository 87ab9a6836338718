#include "engine/job.hpp"

#include "os/futex.hpp"

namespace hardstop::detail {

namespace {

// Stands for "the list is closed: the job is done".
struct closed_list final : continuation {
  void run() noexcept override {}
} closed;

}  // namespace

os::awaited_word job::announce() const noexcept {
  // Only pending becomes awaited: a job that is done stays so.
  std::uint32_t seen = pending;
  settled_.compare_exchange_strong(seen, awaited, std::memory_order_acq_rel);
  return {.word = &settled_, .expected = awaited, .scope = os::futex_scope::process};
}

continuation* job::settle() noexcept {
  // The word first, so that a thread that sees it may read how the job ended; then the list is closed. Whoever adds in
  // between stands in the list that is returned here, and whoever finds it closed finds the job done. The caller holds
  // a reference, so the word outlives the wake-up.
  if (settled_.exchange(settled, std::memory_order_acq_rel) == awaited) {
    os::futex_wake(settled_, os::futex_scope::process);
  }
  return waiting_.exchange(&closed, std::memory_order_acq_rel);
}

bool job::add(continuation& then) noexcept {
  continuation* head = waiting_.load(std::memory_order_acquire);
  do {
    if (head == &closed) return false;
    then.next = head;
  } while (!waiting_.compare_exchange_weak(head, &then, std::memory_order_acq_rel, std::memory_order_acquire));
  return true;
}

}  // namespace hardstop::detail
