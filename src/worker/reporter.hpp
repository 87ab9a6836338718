// The way from a worker to its client: the lane's reports, one thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "os/same_process.hpp"
#include "wire/frame.hpp"
#include "wire/worker_lane.hpp"

namespace hardstop::worker {

// Jobs may report progress from threads of their own, so there is a lock; it is in this process's
// own memory, and dies with it.
class reporter {
 public:
  explicit reporter(wire::worker_lane& lane) : lane_(lane) {}

  reporter(const reporter&) = delete;
  reporter& operator=(const reporter&) = delete;
  ~reporter() = default;

  // Waits for room. An end ends the attempt. The loop's thread.
  void report(const wire::outgoing_report&);

  // Only if there is room, and only while this attempt runs. Any thread, also in a forked child,
  // which has no lane.
  bool report_now(const wire::outgoing_report&);

  // Which attempt runs: reports of others are refused from now on. The loop's thread.
  void begin(wire::ticket attempt);

 private:
  bool try_report(const wire::outgoing_report&, bool last);

  wire::worker_lane& lane_;
  const std::uint64_t generation_ = os::process_generation();
  std::mutex lock_;  // of the lane's ring of reports
  // Atomic, so that to begin needs no lock: then there is none, and nobody reports for it.
  std::atomic<wire::ticket> attempt_{wire::ticket::none};
};

}  // namespace hardstop::worker
