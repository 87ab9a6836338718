#include "processes.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "cell.hpp"
#include "os/proc.hpp"

namespace bench {

namespace {

pid_t parent_of(pid_t process) {
  const auto stat = hardstop::os::read_stat(process);
  if (!stat) throw wrong(stat.error().message());
  return stat->parent;
}

std::uint64_t switches_of_thread(const std::filesystem::path& task) {
  std::ifstream status(task / "status");
  std::uint64_t sum = 0;
  for (std::string line; std::getline(status, line);) {
    const auto end_of_name = line.find("_ctxt_switches:");
    if (end_of_name == std::string::npos) continue;
    sum += std::stoull(line.substr(line.find(':') + 1));
  }
  return sum;
}

}  // namespace

std::uint64_t resident_bytes(pid_t process) {
  const auto bytes = hardstop::os::read_resident_memory(process);
  if (!bytes) throw wrong(bytes.error().message());
  return *bytes;
}

pool_processes processes_of(pid_t worker) {
  pool_processes found;
  found.guardian = parent_of(worker);
  found.warden = parent_of(found.guardian);
  if (auto read = hardstop::os::append_children(found.guardian, found.workers); !read) {
    throw wrong(read.error().message());
  }
  return found;
}

std::uint64_t context_switches(const std::vector<pid_t>& processes) {
  const std::string self = std::to_string(gettid());
  std::uint64_t sum = 0;
  for (const pid_t process : processes) {
    const std::filesystem::path tasks = "/proc/" + std::to_string(process) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      if (task.path().filename() != self) sum += switches_of_thread(task.path());
    }
  }
  return sum;
}

}  // namespace bench
