// A cgroup v2 subtree of a test's own, where this machine lets us make one.
#pragma once

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

namespace support {

class own_cgroup {
 public:
  own_cgroup() {
    const std::string parent = of_this_process();
    if (parent.empty()) {
      reason_ = "no cgroup v2 hierarchy is mounted";
      return;
    }
    path_ = parent + "/hardstop-test-" + std::to_string(::getpid());
    if (::mkdir(path_.c_str(), 0755) != 0) {
      reason_ = "cannot make " + path_ + ": " + std::strerror(errno);
      path_.clear();
    } else if (!takes_processes()) {
      reason_ = "processes cannot be moved to " + path_;
      remove();
    }
  }

  own_cgroup(const own_cgroup&) = delete;
  own_cgroup& operator=(const own_cgroup&) = delete;

  ~own_cgroup() { remove(); }

  // Empty where there is none; then why_not() says why.
  [[nodiscard]] const std::string& path() const { return path_; }

  [[nodiscard]] const std::string& why_not() const { return reason_; }

  // False: somebody is left in it, or below it.
  bool remove() {
    if (path_.empty() || owner_ != ::getpid()) return true;
    if (::rmdir(path_.c_str()) != 0) return false;
    path_.clear();
    return true;
  }

 private:
  static std::string of_this_process() {
    std::string mounted;
    std::ifstream mounts("/proc/self/mounts");
    for (std::string device, where, kind, rest;
         mounts >> device >> where >> kind && std::getline(mounts, rest);) {
      if (kind == "cgroup2") mounted = where;
    }
    std::ifstream own("/proc/self/cgroup");
    for (std::string line; !mounted.empty() && std::getline(own, line);) {
      if (line.starts_with("0::/")) return line == "0::/" ? mounted : mounted + line.substr(3);
    }
    return {};
  }

  [[nodiscard]] bool takes_processes() const {
    const pid_t child = ::fork();
    if (child == 0) {
      std::ofstream processes(path_ + "/cgroup.procs");
      ::_exit((processes << "0" << std::flush) ? 0 : 1);
    }
    int status = 0;
    return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
  }

  std::string path_;
  std::string reason_;
  pid_t owner_ = ::getpid();
};

}  // namespace support
