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
  // The word first, so that a thread that sees it may read how the job ended. The caller holds a
  // reference, so the word outlives the wake-up. seq_cst: see add().
  if (settled_.exchange(settled, std::memory_order_seq_cst) == awaited) {
    os::futex_wake(settled_, os::futex_scope::process);
  }
  if (waiting_.load(std::memory_order_seq_cst) == nullptr) return nullptr;
  return waiting_.exchange(&closed, std::memory_order_acq_rel);
}

bool job::add(continuation& then) noexcept {
  continuation* head = waiting_.load(std::memory_order_acquire);
  do {
    if (head == &closed) return false;
    then.next = head;
  } while (!waiting_.compare_exchange_weak(head, &then, std::memory_order_seq_cst,
                                           std::memory_order_acquire));
  // settle() may have looked before we stood in the list; then the job is done, and in the one
  // order of both stores and both looks we see that. Whoever closes the list runs what is in it:
  // once.
  if (settled_.load(std::memory_order_seq_cst) != settled) return true;
  continuation* left = waiting_.exchange(&closed, std::memory_order_acq_rel);
  while (left != nullptr && left != &closed) {
    continuation* now = left;
    left = now->next;
    now->run();
  }
  return true;
}

}  // namespace hardstop::detail
