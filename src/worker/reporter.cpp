#include "worker/reporter.hpp"

namespace hardstop::worker {

bool reporter::try_report(const wire::outgoing_report& what, bool last) {
  const std::lock_guard hold{lock_};
  // In one step, so that nothing of the attempt can follow its end.
  if (!lane_.report(what, last ? wire::ringing::owed : wire::ringing::now)) return false;
  if (last) attempt_.store(wire::ticket::none, std::memory_order_relaxed);
  return true;
}

void reporter::report(const wire::outgoing_report& what) {
  while (!try_report(what, wire::is_end(what.kind))) {
    lane_.sleep(wire::wait_for::room, [&] {
      const std::lock_guard hold{lock_};
      return lane_.has_room(what.payload.size(),
                            what.segments.size() + (what.large_payload ? 1 : 0));
    });
  }
}

bool reporter::report_now(const wire::outgoing_report& what) {
  // Before the lock, which another thread may have held at the fork.
  if (generation_ != os::process_generation()) return false;
  const std::lock_guard hold{lock_};
  // Relaxed: the end is set under this lock; and who knows a ticket has learnt it after it began.
  return what.ticket == attempt_.load(std::memory_order_relaxed) &&
         what.ticket != wire::ticket::none && lane_.report(what);
}

void reporter::begin(wire::ticket attempt) {
  attempt_.store(attempt, std::memory_order_relaxed);
}

}  // namespace hardstop::worker
