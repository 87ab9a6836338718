// Memory limits where no cgroup enforces them: the control thread looks at the worker processes of
// limited attempts.
//
// What counts is anonymous memory beyond what the worker had when it was ready: a forked worker is
// born with pages of its client, and arguments in shared memory are nobody's fault. What the worker
// starts is not counted; a limit for the whole tree needs a memory cgroup.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>

#include "engine/engine.hpp"
#include "engine/scheduled.hpp"

namespace hardstop::engine {

namespace {

// Resident pages that are not shared, in bytes. Zero if the process is gone: it is not over any
// limit then.
std::uint64_t private_memory(const os::descriptor& statm) {
  std::array<char, 128> text{};
  const ssize_t length = ::pread(statm.get(), text.data(), text.size(), 0);
  if (length <= 0) return 0;
  const char* at = text.data();
  const char* const end = at + length;
  std::array<std::uint64_t, 3> pages{};  // size, resident, shared
  for (std::uint64_t& field : pages) {
    while (at != end && *at == ' ')
      ++at;
    const auto [next, failed] = std::from_chars(at, end, field);
    if (failed != std::errc{}) return 0;
    at = next;
  }
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return pages[1] > pages[2] ? (pages[1] - pages[2]) * page : 0;
}

}  // namespace

void engine::begin_watching_memory(worker& at) {
  const std::string path = "/proc/" + std::to_string(at.process.pid()) + "/statm";
  at.statm = os::descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (at.statm) at.memory_at_ready = private_memory(at.statm);
}

bool engine::watch_memory() {
  bool limited = false;
  turn now(*this);
  for (const auto& home : pools_) {
    for (auto* node = home->workers.front(); node != nullptr;) {
      worker& at = ours(*node);
      node = schedule::sibling_list::after(*node);
      const job* front = front_of(at);
      if (front == nullptr || front->max_memory() == 0 || !at.statm || at.killed) continue;
      limited = true;
      const std::uint64_t used = private_memory(at.statm);
      at.memory_seen = used > at.memory_at_ready ? used - at.memory_at_ready : 0;
      if (at.memory_seen > front->max_memory())
        scheduler_.memory_exceeded(at, front->ticket, now.now());
    }
  }
  return limited;
}

}  // namespace hardstop::engine
