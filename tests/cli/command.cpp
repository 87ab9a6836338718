#include "cli/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "support/other_process.hpp"

namespace hardstop::test {
namespace {

std::string next_mark() {
  static std::atomic<int> marks{0};
  return "cli-" + std::to_string(::getpid()) + "-" + std::to_string(++marks);
}

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("making a pipe failed");
  return ends;
}

words environment_with(const std::string& mark) {
  words variables;
  for (char** each = ::environ; *each != nullptr; ++each)
    variables.emplace_back(*each);
  variables.push_back(std::string{support::mark_variable} + "=" + mark);
  return variables;
}

// What is there; does not wait for those who keep the other end open.
std::string read_all(int descriptor) {
  ::fcntl(descriptor, F_SETFL, O_NONBLOCK);
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t size = 0; (size = ::read(descriptor, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return text;
}

}  // namespace

int ended_command::shell_status() const {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

json_value ended_command::report() const {
  const auto last = errors.empty() ? 0 : errors.rfind('\n', errors.size() - 2) + 1;
  return read_json(std::string_view{errors}.substr(last));
}

running_command::running_command(const words& command) : mark_{next_mark()} {
  const auto output = make_pipe();
  const auto errors = make_pipe();
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, errors[1], STDERR_FILENO);

  auto copy = command;
  auto variables = environment_with(mark_);
  pid_t pid = 0;
  const int error =
      ::posix_spawnp(&pid, copy.front().c_str(), &actions, nullptr, support::as_argv(copy).data(),
                     support::as_argv(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(output[1]);
  ::close(errors[1]);
  output_ = output[0];
  errors_ = errors[0];
  if (error != 0) throw std::runtime_error("starting " + command.front() + " failed");
  process_ = support::watched_process{pid};
}

running_command::running_command(running_command&& other) noexcept
    : mark_{std::move(other.mark_)},
      output_{std::exchange(other.output_, -1)},
      errors_{std::exchange(other.errors_, -1)},
      process_{std::move(other.process_)} {}

running_command::~running_command() {
  if (output_ < 0) return;
  // Not reaped yet, so it can be nobody else.
  if (::waitpid(process_.pid(), nullptr, WNOHANG) == 0) {
    (void)process_.send(SIGKILL);
    ::waitpid(process_.pid(), nullptr, 0);
  }
  ::close(output_);
  ::close(errors_);
}

std::string running_command::read_output() const {
  std::array<char, 4096> buffer;
  pollfd there{.fd = output_, .events = POLLIN, .revents = 0};
  if (::poll(&there, 1, static_cast<int>(std::chrono::milliseconds{support::patience}.count())) <=
      0) {
    throw std::runtime_error("nothing was written");
  }
  const auto size = ::read(output_, buffer.data(), buffer.size());
  return size <= 0 ? "" : std::string{buffer.data(), static_cast<std::size_t>(size)};
}

int running_command::wait_for_change(int options) const {
  int status = -1;
  while (::waitpid(process_.pid(), &status, options) < 0 && errno == EINTR) {
  }
  return status;
}

ended_command running_command::wait() {
  ended_command ended;
  if (!process_.wait_gone()) throw std::runtime_error("hardstop does not end");
  // Before it is reaped: nothing may be left when anybody can know that it ended.
  ended.left_behind = support::describe(support::survivors(mark_));
  ::waitpid(process_.pid(), &ended.wait_status, 0);
  ended.output = read_all(output_);
  ended.errors = read_all(errors_);
  ::close(std::exchange(output_, -1));
  ::close(std::exchange(errors_, -1));
  return ended;
}

running_command start(words arguments) {
  arguments.insert(arguments.begin(), HARDSTOP_PROGRAM);
  return running_command{arguments};
}

ended_command run(words arguments) {
  return start(std::move(arguments)).wait();
}

ended_command run_other(const words& command) {
  return running_command{command}.wait();
}

words part(const std::string& name, const words& arguments) {
  std::array<char, PATH_MAX> path{};
  if (::readlink("/proc/self/exe", path.data(), path.size() - 1) < 0) {
    throw std::runtime_error("this program does not know its path");
  }
  return words{path.data(), support::part_option, name} + arguments;
}

words operator+(words first, const words& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

pid_t supervisor_of(pid_t hardstop) {
  std::vector<int> children;
  if (!support::comes_true([&] { return !(children = support::children_of(hardstop)).empty(); })) {
    throw std::runtime_error("hardstop has no supervisor");
  }
  return children.front();
}

}  // namespace hardstop::test
