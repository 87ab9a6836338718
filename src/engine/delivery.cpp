#include "engine/delivery.hpp"

#include <sys/prctl.h>

#include "engine/engine.hpp"
#include "engine/lane_watch.hpp"
#include "engine/pool.hpp"
#include "os/signals.hpp"

namespace hardstop::engine {

namespace {

// Continuations are kept newest first; they run in the order in which they came.
detail::continuation* reversed(detail::continuation* first) {
  detail::continuation* turned = nullptr;
  while (first != nullptr) {
    detail::continuation* next = first->next;
    first->next = turned;
    turned = first;
    first = next;
  }
  return turned;
}

void tell(const kept_event& what) {
  pool& whose = *what.pool;
  whose.options.on_event({.kind = what.kind,
                          .when = what.when,
                          .pool = whose.name,
                          .job = what.job,
                          .pid = what.pid,
                          .attempt = what.attempt,
                          .text = what.text});
  if (whose.untold.fetch_sub(1, std::memory_order_release) == 1) {
    os::futex_wake(whose.untold, os::futex_scope::process);
  }
}

}  // namespace

void delivery::start() {
  // The host's handlers must never run here (G10): the mask is inherited by the new thread from its
  // first instruction.
  const os::signals_blocked quiet;
  thread_ = std::thread([this] { loop(); });
}

void delivery::join() {
  thread_.join();
  id_ = std::thread::id{};
}

bool delivery::is_this_thread() const {
  return id_.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

void delivery::wake() {
  bell_.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake(bell_, os::futex_scope::process);
}

void delivery::run_later(detail::continuation* first) {
  {
    const std::lock_guard lock(inbox_lock_);
    inbox_.continuations.push_back(first);
  }
  if (!is_this_thread()) wake();
}

void delivery::tell_later(kept_event&& what) {
  {
    const std::lock_guard lock(inbox_lock_);
    pool& whose = *what.pool;
    inbox_.events.push_back(std::move(what));
    whose.untold.fetch_add(1, std::memory_order_relaxed);
  }
  if (!is_this_thread()) wake();
}

void delivery::give_birth_later(std::shared_ptr<detail::pool> whose) {
  {
    const std::lock_guard lock(inbox_lock_);
    inbox_.births.push_back(std::move(whose));
  }
  if (!is_this_thread()) wake();
}

bool delivery::run_inbox() {
  inbox work;
  {
    const std::lock_guard lock(inbox_lock_);
    if (inbox_.empty()) return false;
    std::swap(work, inbox_);
  }
  for (auto& whose : work.births)
    home_.give_birth(whose);
  for (const kept_event& each : work.events)
    tell(each);
  for (detail::continuation* chain : work.continuations) {
    for (detail::continuation* next = reversed(chain); next != nullptr;) {
      detail::continuation* now = next;
      next = now->next;  // running may destroy it
      now->run();
    }
  }
  return true;
}

void delivery::loop() {
  ::prctl(PR_SET_NAME, "hs-delivery");
  ::prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL,
          0UL);  // naps are shorter than the usual slack, 50 us
  id_ = std::this_thread::get_id();
  lane_watch watch(home_, wire::listener::resident);
  while (true) {
    const std::uint32_t heard = bell_.load(std::memory_order_seq_cst);
    const bool ran = run_inbox();
    const lanes_read found = home_.read_lanes();
    if (found.gathering) lane_watch::nap();
    if (ran || found.reports != 0) continue;
    if (watch.refresh()) home_.forget_old_lanes();
    if (home_.delivery_may_leave()) {
      run_inbox();  // what came between the look above and this
      return;
    }
    if (watch.spin([&] { return bell_.load(std::memory_order_seq_cst) != heard; })) continue;
    watch.sleep({.word = &bell_, .expected = heard, .scope = os::futex_scope::process},
                std::nullopt);
  }
}

}  // namespace hardstop::engine
