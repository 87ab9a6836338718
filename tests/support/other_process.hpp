// Parts of a test that are played by other processes: a client that is killed, a host with habits.
//
//   int be_killed(const std::vector<std::string>& arguments) { … }
//   const support::part be_killed_part{"be_killed", &be_killed};
//   …
//   const auto client = support::start_part("be_killed", {"now"});
//
// The process is a fresh execution of this program: it has no engine, no threads and no pool yet.
#pragma once

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/board.hpp"

namespace support {

using part_function = int (*)(const std::vector<std::string>& arguments);

inline std::map<std::string, part_function>& parts() {
  static std::map<std::string, part_function> known;
  return known;
}

struct part {
  part(const std::string& name, part_function function) { parts()[name] = function; }
};

inline constexpr const char* part_option = "--play";

// In main: the exit code if this process plays a part.
inline std::optional<int> play_part(int argc, char** argv) {
  if (argc < 3 || argv[1] != std::string(part_option)) return std::nullopt;
  try {
    return parts().at(argv[2])({argv + 3, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[2], error.what());
    return 1;
  }
}

// Arguments for an exec of this program in that part.
inline std::vector<std::string> command_of_part(const std::string& name,
                                                std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"scenario", part_option, name});
  return arguments;
}

inline std::vector<char*> as_argv(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (auto& word : words)
    pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

[[noreturn]] inline void become_part(const std::string& name, std::vector<std::string> arguments) {
  auto words = command_of_part(name, std::move(arguments));
  ::execv("/proc/self/exe", as_argv(words).data());
  std::_Exit(127);
}

// A child of the test; killed and reaped at the latest when this is destroyed.
class other_process {
 public:
  explicit other_process(pid_t pid) : pid_(pid) {}

  other_process(other_process&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}

  other_process& operator=(other_process&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }

  ~other_process() {
    if (pid_ > 1) end();
  }

  [[nodiscard]] pid_t pid() const { return pid_; }

  // Its status as waitpid tells it.
  int wait() {
    int status = -1;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }

  int end() {
    ::kill(pid_, SIGKILL);
    return wait();
  }

 private:
  pid_t pid_ = 0;
};

inline other_process start_part(const std::string& name, std::vector<std::string> arguments = {}) {
  auto words = command_of_part(name, std::move(arguments));
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, as_argv(words).data(), ::environ);
  if (error != 0) throw std::runtime_error("starting a process of the test failed");
  return other_process{pid};
}

// A board's name as arguments, and back.
template <class State>
std::vector<std::string> to_words(const board_ref<State>& ref) {
  return {std::to_string(ref.owner), std::to_string(ref.descriptor), ref.mark.data()};
}

template <class State>
board_ref<State> board_from(const std::vector<std::string>& words, std::size_t at = 0) {
  board_ref<State> ref{.owner = std::stoi(words.at(at)), .descriptor = std::stoi(words.at(at + 1))};
  words.at(at + 2).copy(ref.mark.data(), ref.mark.size() - 1);
  return ref;
}

}  // namespace support
