#include <hardstop/event.hpp>

namespace hardstop {

std::string_view to_string(event_kind kind) noexcept {
  switch (kind) {
    case event_kind::pool_started:
      return "pool started";
    case event_kind::worker_started:
      return "worker started";
    case event_kind::worker_exited:
      return "worker exited";
    case event_kind::worker_died:
      return "worker died";
    case event_kind::worker_killed:
      return "worker killed";
    case event_kind::worker_unconfirmed:
      return "worker not confirmed gone";
    case event_kind::worker_failed:
      return "worker failed to start";
    case event_kind::job_retried:
      return "job retried";
    case event_kind::job_late:
      return "deadline enforced late";
    case event_kind::containment_weaker:
      return "containment weaker than asked for";
    case event_kind::deadlock:
      return "deadlock";
    case event_kind::guardian_lost:
      return "guardian lost";
    case event_kind::pool_broken:
      return "pool broken";
    case event_kind::pool_closed:
      return "pool closed";
  }
  return "unknown";
}

}  // namespace hardstop
