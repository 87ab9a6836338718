// How a worker tells, by its exit code alone, that it ended without a job's doing. A job may exit
// with the same code by chance: engine and guardian use them only to word the likely cause.
#pragma once

namespace hardstop::worker {

enum class exit_code : int {
  left = 0,              // it was asked to
  not_the_worker = 118,  // a forked child of a job came back into the loop; it touched nothing
  thread_exited = 119,   // a job ended the thread that runs jobs (pthread_exit)
  start_failed = 120,    // after a start_failed report
  no_lane = 121,         // lane, arenas or spec could not be opened: nobody can be told why
  lane_corrupt = 122,    // the client's side of the lane cannot be true
};

}  // namespace hardstop::worker
