// What /proc tells of a cell's processes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace bench {

std::uint64_t resident_bytes(pid_t process);

// The processes of a pool: its workers' parent is the guardian, whose parent is the warden.
struct pool_processes {
  pid_t warden = 0;
  pid_t guardian = 0;
  std::vector<pid_t> workers;  // spares included
};

pool_processes processes_of(pid_t worker);

// How often the threads of these processes, the calling thread excepted, were given a CPU.
std::uint64_t context_switches(const std::vector<pid_t>& processes);

}  // namespace bench
