// Finding every process that descends from a test, however it tried to get away.
//
// A mark goes into two places a process cannot easily leave: a shared mapping, which every fork
// inherits, and the environment, which every exec passes on. Neither sessions, re-parenting, closed
// descriptors nor names change them. Corpses carry no mark: they hold no memory.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

namespace hardstop::test {

struct survivor {
  pid_t pid;
  std::string name;
  std::string stat;

  friend bool operator==(const survivor&, const survivor&) = default;

  friend std::ostream& operator<<(std::ostream& out, const survivor& found) {
    return out << found.name << " (" << found.stat << ")";
  }
};

// Marks this process and all that will descend from it, while it lives.
class marker {
 public:
  marker()
      : name_{"hardstop-mark-" + std::to_string(::getpid()) + "-" + std::to_string(next_number())} {
    const int file = ::memfd_create(name_.c_str(), MFD_CLOEXEC);
    (void)!::ftruncate(file, 4096);
    mapping_ = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0);
    ::close(file);
    ::setenv(variable, name_.c_str(), 1);
  }

  marker(const marker&) = delete;
  marker& operator=(const marker&) = delete;

  ~marker() {
    ::munmap(mapping_, 4096);
    ::unsetenv(variable);
  }

  // Everybody who carries the mark but this process and those in `known`.
  [[nodiscard]] std::vector<survivor> survivors(const std::vector<pid_t>& known = {}) const {
    std::vector<survivor> found;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
      const auto text = entry.path().filename().string();
      if (text.find_first_not_of("0123456789") != std::string::npos) continue;
      const pid_t pid = std::stoi(text);
      if (pid == ::getpid() || std::find(known.begin(), known.end(), pid) != known.end()) continue;
      if (carries_mark(entry.path())) {
        found.push_back(
            {pid, read(entry.path() / "comm"),
             read(entry.path() / "stat").substr(0, 60) + ", in " + read(entry.path() / "wchan")});
      }
    }
    return found;
  }

  // For ends nobody reports: looks until nobody is left or the time is up; returns who is.
  [[nodiscard]] std::vector<survivor> survivors_after(std::chrono::milliseconds limit) const {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    for (;;) {
      auto found = survivors();
      if (found.empty() || std::chrono::steady_clock::now() > deadline) return found;
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
  }

 private:
  static constexpr const char* variable = "HARDSTOP_TEST_MARK";

  // Not a stream, which throws when the process ends under its hands.
  static std::string read(const std::filesystem::path& path) {
    std::string text;
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    char buffer[4096];
    for (ssize_t size = 0; file >= 0 && (size = ::read(file, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(size));
    }
    if (file >= 0) ::close(file);
    while (!text.empty() && text.back() == '\n')
      text.pop_back();
    return text;
  }

  [[nodiscard]] bool carries_mark(const std::filesystem::path& process) const {
    return read(process / "maps").find(name_ + " (deleted)") != std::string::npos ||
           read(process / "environ").find(variable + ("=" + name_) + '\0') != std::string::npos;
  }

  static int next_number() {
    static int last = 0;
    return ++last;
  }

  std::string name_;
  void* mapping_ = nullptr;
};

}  // namespace hardstop::test
