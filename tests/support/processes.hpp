// Looking at processes from outside: who carries a mark, who is whose parent, who is gone.
#pragma once

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/board.hpp"
#include "support/contents.hpp"

namespace support {

// What an executed image that shall be found by its mark needs in its environment.
inline constexpr const char* mark_variable = "HARDSTOP_TEST_MARK";

struct process_line {
  int pid = 0;
  std::string name;
  char state = '?';
  int parent = 0;
  int group = 0;
  int session = 0;
};

// Nothing if there is no such process.
inline std::optional<process_line> look_at(int pid) {
  const std::string line = contents("/proc/" + std::to_string(pid) + "/stat");
  const auto open = line.find('(');
  const auto close = line.rfind(')');
  if (open == std::string::npos || close == std::string::npos) return std::nullopt;
  process_line found{.pid = pid, .name = line.substr(open + 1, close - open - 1)};
  std::istringstream rest(line.substr(close + 1));
  rest >> found.state >> found.parent >> found.group >> found.session;
  return found;
}

inline std::vector<int> all_processes() {
  std::vector<int> pids;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir("/proc"), &::closedir};
  while (const dirent* const entry = ::readdir(directory.get())) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) != 0) {
      pids.push_back(std::atoi(entry->d_name));
    }
  }
  return pids;
}

inline std::vector<int> children_of(int parent) {
  std::vector<int> children;
  for (const int pid : all_processes()) {
    const auto found = look_at(pid);
    if (found && found->parent == parent) children.push_back(pid);
  }
  return children;
}

// Whether a process has joined that board, or was forked or executed by one that has.
inline bool carries_mark(int pid, const std::string& mark) {
  const std::string folder = "/proc/" + std::to_string(pid);
  if (contents(folder + "/environ").find(std::string(mark_variable) + "=" + mark) !=
      std::string::npos) {
    return true;
  }
  // begin-end permissions offset device inode path: offset 0 is the mark, see board.hpp
  std::istringstream maps(contents(folder + "/maps"));
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:" + mark + " ") == std::string::npos) continue;
    std::string addresses;
    std::string permissions;
    std::string offset;
    std::istringstream(line) >> addresses >> permissions >> offset;
    if (offset.find_first_not_of('0') == std::string::npos) return true;
  }
  return false;
}

// Living processes, other than this one, that carry the mark.
inline std::vector<process_line> survivors(const std::string& mark) {
  std::vector<process_line> found;
  for (const int pid : all_processes()) {
    if (pid == ::getpid() || !carries_mark(pid, mark)) continue;
    if (auto line = look_at(pid); line && line->state != 'Z' && line->state != 'X') {
      found.push_back(std::move(*line));
    }
  }
  return found;
}

inline std::string describe(const std::vector<process_line>& processes) {
  std::string text;
  for (const auto& each : processes) {
    text += "  process " + std::to_string(each.pid) + " (" + each.name + ", state " + each.state +
            ", child of " + std::to_string(each.parent) + ")\n";
  }
  return text;
}

// One process, that it is: nobody else gets its number's signals.
class watched_process {
 public:
  watched_process() = default;

  explicit watched_process(int pid)
      : pid_(pid), descriptor_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}

  watched_process(watched_process&& other) noexcept
      : pid_(other.pid_), descriptor_(std::exchange(other.descriptor_, -1)) {}

  watched_process& operator=(watched_process&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  ~watched_process() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  [[nodiscard]] int pid() const { return pid_; }

  // False: it was gone before we could look.
  explicit operator bool() const { return descriptor_ >= 0; }

  bool send(int signal) const {
    return descriptor_ >= 0 &&
           ::syscall(SYS_pidfd_send_signal, descriptor_, signal, nullptr, 0) == 0;
  }

  [[nodiscard]] bool wait_gone(std::chrono::milliseconds limit = patience) const {
    if (descriptor_ < 0) return true;
    pollfd end{.fd = descriptor_, .events = POLLIN, .revents = 0};
    int answer = 0;
    do {
      answer = ::poll(&end, 1, static_cast<int>(limit.count()));
    } while (answer < 0 && errno == EINTR);
    return answer == 1;
  }

  [[nodiscard]] bool gone() const { return wait_gone(std::chrono::milliseconds{0}); }

 private:
  int pid_ = 0;
  int descriptor_ = -1;
};

// The processes above a worker: its guardian and that one's warden. To be asked while it lives.
struct ancestry {
  watched_process guardian;
  watched_process warden;

  static ancestry of_guardian(int guardian) {
    const auto line = look_at(guardian);
    return {watched_process{guardian}, line ? watched_process{line->parent} : watched_process{}};
  }
};

// Waits for something that no event tells of (a corpse reaped by another process), looking again
// and again. False when the time is over.
template <class Condition>
[[nodiscard]] bool comes_true(Condition condition, std::chrono::milliseconds limit = patience) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    ::usleep(500);
  }
  return true;
}

}  // namespace support
