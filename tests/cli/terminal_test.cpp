// A run in a terminal: who may read it, and who gets its keys.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "cli/command.hpp"
#include "support/other_process.hpp"

namespace hardstop::test {
namespace {

// hardstop, started by nobody's shell, as the first process of a terminal of its own.
class in_a_terminal {
 public:
  explicit in_a_terminal(words arguments) {
    arguments.insert(arguments.begin(), HARDSTOP_PROGRAM);
    int terminal = -1;
    if (::openpty(&keyboard_, &terminal, nullptr, nullptr, nullptr) != 0) {
      throw std::runtime_error("there is no terminal");
    }
    ::fcntl(keyboard_, F_SETFD, FD_CLOEXEC);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::setsid();
      ::ioctl(terminal, TIOCSCTTY, 0);
      for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        ::dup2(terminal, number);
      ::close(terminal);
      ::execv(HARDSTOP_PROGRAM, support::as_argv(arguments).data());
      ::_exit(99);
    }
    ::close(terminal);
    process_ = support::watched_process{pid};
  }

  in_a_terminal(const in_a_terminal&) = delete;
  in_a_terminal& operator=(const in_a_terminal&) = delete;

  ~in_a_terminal() {
    if (!process_.gone()) (void)process_.send(SIGKILL);
    ::waitpid(process_.pid(), nullptr, WNOHANG);
    ::close(keyboard_);
  }

  void type(const std::string& keys) const { (void)!::write(keyboard_, keys.data(), keys.size()); }

  // Waits until that has been shown.
  [[nodiscard]] bool shows(const std::string& text) {
    std::array<char, 1024> buffer;
    pollfd there{.fd = keyboard_, .events = POLLIN, .revents = 0};
    constexpr auto limit = std::chrono::milliseconds{support::patience}.count();
    while (shown_.find(text) == std::string::npos) {
      if (::poll(&there, 1, static_cast<int>(limit)) <= 0) return false;
      const auto size = ::read(keyboard_, buffer.data(), buffer.size());
      if (size <= 0) return false;
      shown_.append(buffer.data(), static_cast<std::size_t>(size));
    }
    return true;
  }

  [[nodiscard]] const std::string& shown() const { return shown_; }

  int wait() {
    EXPECT_TRUE(process_.wait_gone());
    int status = -1;
    ::waitpid(process_.pid(), &status, 0);
    return status;
  }

 private:
  int keyboard_ = -1;
  support::watched_process process_;
  std::string shown_;
};

constexpr const char* ctrl_c = "\x03";

TEST(in_the_foreground, a_command_reads_the_terminal) {
  in_a_terminal run({"run", "--foreground", "--", "sh", "-c", "read line; echo \"<$line>\""});
  run.type("hello\n");
  EXPECT_TRUE(run.shows("<hello>")) << run.shown();
  EXPECT_EQ(run.wait(), 0);
}

TEST(in_the_foreground, keys_are_the_commands_own_business) {
  // However often: an interpreter survives Ctrl-C. Each of its lines answers one.
  in_a_terminal run({"run", "--foreground", "--", "sh", "-c",
                     "n=0; trap 'n=$((n+1)); echo caught $n' INT; echo up; "
                     "while [ $n -lt 3 ]; do sleep 0.01; done; exit 4"});
  EXPECT_TRUE(run.shows("up"));
  for (const char* const answer : {"caught 1", "caught 2", "caught 3"}) {
    run.type(ctrl_c);
    EXPECT_TRUE(run.shows(answer)) << run.shown();
  }
  const int status = run.wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 4);
}

TEST(in_the_background, a_command_that_reads_the_terminal_is_told_how_to) {
  in_a_terminal run({"run", "--", "sh", "-c", "read line; echo \"<$line>\""});
  EXPECT_TRUE(run.shows("--foreground")) << run.shown();
  run.type(ctrl_c);  // passed on, and the command is woken for it
  const int status = run.wait();
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGINT);
}

TEST(in_the_background, keys_reach_the_command_once) {
  in_a_terminal run({"run", "--", "sh", "-c",
                     "n=0; trap 'n=$((n+1)); echo caught $n' INT; trap 'echo bye $n; exit 4' TERM; "
                     "echo up; while :; do sleep 0.01; done"});
  EXPECT_TRUE(run.shows("up"));
  run.type(ctrl_c);
  EXPECT_TRUE(run.shows("caught 1"));
  run.type(ctrl_c);  // and the second kills
  const int status = run.wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 137);
  EXPECT_EQ(run.shown().find("caught 2"), std::string::npos);
}

}  // namespace
}  // namespace hardstop::test
