// What a submitted job is to those who hold its future: its state, how to stop it, what a stop did.
#pragma once

#include <cstdint>

namespace hardstop {

/// Where a job is. It only moves down this list, except that a job whose worker died goes from
/// running back to queued while it has retries left.
enum class job_state : std::uint8_t {
  queued,   ///< accepted; no attempt has started. It may already wait next to a worker.
  running,  ///< an attempt was seen running, or is being stopped and not yet confirmed gone
  done,     ///< has its one outcome
};

/// How hard a cancel tries.
enum class cancel_mode : std::uint8_t {
  ask,            ///< request the job's std::stop_token, nothing else. The job may ignore it.
  ask_then_kill,  ///< ask; after the grace, kill the process tree. A grace of zero kills at once.
  kill,           ///< kill the process tree now
  take_back,      ///< only if it has not started; a job that runs is left alone and not told
};

/// What a call to cancel() did at that moment. How the job ended is told by its outcome.
enum class cancel_result : std::uint8_t {
  cancelled,  ///< it had not started and never will: the outcome is there
  requested,  ///< it runs: it is being asked or killed, and the outcome will tell which came first
  too_late,   ///< it had already ended, or runs and was only to be taken back: nothing was done
};

/// What became of a request to cancel, once the job has ended.
enum class cancel_answer : std::uint8_t {
  not_requested,   ///< nobody asked
  never_started,   ///< no instruction of the job ran
  killed,          ///< an attempt was running and its process tree was killed
  finished_first,  ///< it ended by itself, within its grace or before the kill reached it
};

}  // namespace hardstop
