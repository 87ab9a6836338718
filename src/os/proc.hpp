// Reading /proc: who is whose child, in which state, with how much memory.
//
// Every answer is of the past: a pid may be gone or recycled when it arrives. Only the parent of a
// process that nobody else reaps may act on a bare pid; everybody else opens a pidfd and looks
// again (os/pidfd.hpp).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "os/descriptor.hpp"
#include "os/error.hpp"

namespace hardstop::os {

struct process_stat {
  pid_t pid = 0;
  std::string name;  // as in comm: at most 15 characters
  char state = '?';  // R S D T t Z X I
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  int threads = 0;
  std::uint64_t start_time = 0;  // clock ticks after boot: with the pid, names a process for ever
  std::uint64_t arguments_begin = 0;
  std::uint64_t arguments_end = 0;

  [[nodiscard]] bool dead() const { return state == 'Z' || state == 'X'; }

  [[nodiscard]] bool stopped() const { return state == 'T' || state == 't'; }
};

// /proc/PID/stat. ENOENT or ESRCH: no such process.
[[nodiscard]] result<process_stat> read_stat(pid_t pid);

// The state letter of every thread of a process.
[[nodiscard]] result<std::string> read_thread_states(pid_t pid);

struct process_status {
  pid_t tracer = 0;                   // 0: nobody traces it
  std::uint64_t blocked_signals = 0;  // bit n-1: signal n
  std::uint32_t effective_user = 0;
};

// /proc/PID/status.
[[nodiscard]] result<process_status> read_status(pid_t pid);

// Bytes of physical memory in use, from /proc/PID/statm.
[[nodiscard]] result<std::uint64_t> read_resident_memory(pid_t pid);

// Living and dead (unreaped) children of all threads of a process, appended to `into`. The kernel
// may miss some while children are being reaped, so the list is complete only if read by the one
// who alone reaps them.
result<void> append_children(pid_t pid, std::vector<pid_t>& into);

// The same for the calling process, by files kept open: half a microsecond instead of fifteen. Not
// for use in a fork of the process that opened it.
class own_children {
 public:
  static result<own_children> open();

  result<void> append(std::vector<pid_t>& into) const;  // NOLINT(modernize-use-nodiscard)

 private:
  own_children(descriptor tasks, descriptor of_first)
      : tasks_{std::move(tasks)}, of_first_{std::move(of_first)} {}

  descriptor tasks_;
  descriptor of_first_;  // the first thread's, which most often is the only one
};

// Whether /proc is there and the kernel lists children (CONFIG_PROC_CHILDREN).
enum class proc_support : std::uint8_t { complete, no_proc, no_children_files };
[[nodiscard]] proc_support probe_proc();

}  // namespace hardstop::os
