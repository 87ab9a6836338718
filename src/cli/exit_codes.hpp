// What `hardstop` exits with, beyond what a command it ran exited with: the same as coreutils'
// timeout.
#pragma once

namespace hardstop::cli {

inline constexpr int exit_success = 0;
inline constexpr int exit_cannot_start = 1;  // doctor: no pool can start here
inline constexpr int exit_not_there =
    1;  // cancel, requeue: a job is not there; recover: some are left
inline constexpr int exit_timed_out = 124;
inline constexpr int exit_own_failure = 125;  // of hardstop itself, wrong use included
inline constexpr int exit_not_executable = 126;
inline constexpr int exit_not_found = 127;
inline constexpr int exit_signal_offset = 128;  // and the signal, for what a signal ended
inline constexpr int exit_killed = 137;         // SIGKILL, by us or by others

}  // namespace hardstop::cli
