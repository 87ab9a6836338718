#include "guardian/cgroup.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>

#include "os/read_file.hpp"

namespace hardstop::guardian {
namespace {

constexpr std::string_view leaf_prefix = "hardstop-";

os::result<void> write_at(const os::descriptor& directory, const char* file,
                          const std::string& text) {
  const os::descriptor opened{::openat(directory.get(), file, O_WRONLY | O_CLOEXEC)};
  if (!opened) return os::last_error("opening a cgroup file");
  if (::write(opened.get(), text.data(), text.size()) < 0) {
    return os::last_error("writing a cgroup file");
  }
  return {};
}

bool memory_controller_on(const std::string& path) {
  const auto on = os::read_file((path + "/cgroup.subtree_control").c_str());
  return on && on->find("memory") != std::string::npos;
}

}  // namespace

os::result<os::descriptor> cgroup_leaf::open_processes() const {
  os::descriptor file{::openat(directory_.get(), "cgroup.procs", O_WRONLY | O_CLOEXEC)};
  if (!file) return os::last_error("opening cgroup.procs");
  return file;
}

os::result<void> cgroup_leaf::limit_memory(std::uint64_t bytes) {
  if (bytes == 0) return {};
  // Swap would only let it die more slowly; the file is not there where there is no swap
  // accounting.
  (void)write_at(directory_, "memory.swap.max", "0");
  (void)write_at(directory_, "memory.oom.group", "1");
  return write_at(directory_, "memory.max", std::to_string(bytes));
}

void cgroup_leaf::kill_all() const {
  (void)write_at(directory_, "cgroup.kill", "1");
}

std::int32_t cgroup_leaf::oom_kills() const {
  const auto events = os::read_file(directory_.get(), "memory.events");
  if (!events) return -1;
  std::istringstream words{*events};
  std::string key;
  for (std::int32_t count = 0; words >> key >> count;) {
    if (key == "oom_kill") return count;
  }
  return -1;
}

bool cgroup_leaf::remove() {
  if (!directory_) return true;
  if (::rmdir(path_.c_str()) < 0 && errno != ENOENT) return false;
  directory_.reset();
  return true;
}

os::result<cgroup_subtree> cgroup_subtree::open(std::string_view path) {
  cgroup_subtree subtree;
  subtree.path_ = path;
  while (subtree.path_.size() > 1 && subtree.path_.back() == '/')
    subtree.path_.pop_back();

  struct statfs kind {};

  if (::statfs(subtree.path_.c_str(), &kind) < 0) return os::last_error("looking at a cgroup");
  if (kind.f_type != CGROUP2_SUPER_MAGIC) {
    return os::error{.code = ENOTSUP, .operation = "not a cgroup v2 directory"};
  }
  if (::access((subtree.path_ + "/cgroup.procs").c_str(), W_OK) < 0 ||
      ::access(subtree.path_.c_str(), W_OK) < 0) {
    return os::last_error("a cgroup that is not delegated to this user");
  }
  // Refused where the subtree itself holds processes, or has no such controller: then no leaf
  // limits memory, and killing works all the same.
  if (!memory_controller_on(subtree.path_)) {
    (void)os::write_file((subtree.path_ + "/cgroup.subtree_control").c_str(), "+memory");
  }
  subtree.limits_memory_ = memory_controller_on(subtree.path_);
  return subtree;
}

os::result<cgroup_leaf> cgroup_subtree::make_leaf(std::uint64_t number) const {
  auto path = path_ + '/' + std::string{leaf_prefix} + std::to_string(::getpid()) + '-' +
              std::to_string(number);
  if (::mkdir(path.c_str(), 0755) < 0) return os::last_error("making a cgroup");
  os::descriptor directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!directory) {
    const auto cause = os::last_error("opening a cgroup");
    ::rmdir(path.c_str());
    return cause;
  }
  return cgroup_leaf{std::move(directory), std::move(path)};
}

void cgroup_subtree::remove_stale() const {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{::opendir(path_.c_str()), &::closedir};
  if (!directory) return;
  while (const dirent* const entry = ::readdir(directory.get())) {
    const std::string_view name{entry->d_name};
    if (!name.starts_with(leaf_prefix)) continue;
    const auto maker =
        static_cast<pid_t>(std::strtol(entry->d_name + leaf_prefix.size(), nullptr, 10));
    // A living maker's empty leaf is waiting for its first process.
    if (maker > 1 && ::kill(maker, 0) < 0 && errno == ESRCH) {
      ::rmdir((path_ + '/' + entry->d_name).c_str());
    }
  }
}

}  // namespace hardstop::guardian
