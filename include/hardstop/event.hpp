// News of a pool for logs and metrics: workers born, killed and lost, jobs retried, the pool
// broken.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace hardstop {

enum class event_kind : std::uint8_t {
  pool_started,        ///< guardian and first worker are up
  worker_started,      ///< a worker is ready; pid is set
  worker_exited,       ///< a worker left in good order (recycled, idle, shutdown)
  worker_died,         ///< a worker ended by itself; text says how
  worker_killed,       ///< a tree was killed and is confirmed gone; text says why
  worker_unconfirmed,  ///< the kernel would not kill pid yet; text says what is known
  worker_failed,       ///< a worker could not start; text says why. Retried with growing delays.
  job_retried,         ///< the worker died and the job has retries left
  job_late,            ///< a deadline was enforced later than it should have been
  containment_weaker,  ///< something asked for is not available here; text names the cure
  deadlock,            ///< holders of permits wait for one another; text names them
  guardian_lost,       ///< the guardian was killed; the pool starts anew
  pool_broken,         ///< no worker can start; text says why
  pool_closed,         ///< shut down, every process gone
};

/// One piece of news. The texts live only as long as the call that hands it out.
struct event {
  event_kind kind{};
  std::chrono::system_clock::time_point when{};
  std::string_view pool{};
  std::string_view job{};  ///< empty where no job is concerned
  int pid = 0;             ///< 0 where no process is concerned
  unsigned attempt = 0;    ///< 0 where no attempt is concerned
  std::string_view text{};
};

/// The kind in words, e.g. "worker died".
[[nodiscard]] std::string_view to_string(event_kind kind) noexcept;

}  // namespace hardstop
