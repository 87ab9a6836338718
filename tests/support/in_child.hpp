// Running part of a test in a process of its own, for what changes a whole process: signal
// handlers, subreaper flags, being killed.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

namespace hardstop::test {

// Within in_child: ends the process with a message unless the condition holds.
#define HARDSTOP_CHECK(condition)                                                          \
  do {                                                                                     \
    if (!(condition)) ::hardstop::test::fail_child(#condition, __FILE__, __LINE__, errno); \
  } while (false)

[[noreturn]] inline void fail_child(const char* what, const char* file, int line, int error) {
  std::string text = std::string{file} + ":" + std::to_string(line) + ": failed: " + what +
                     " (errno " + std::to_string(error) + ")\n";
  (void)!::write(STDERR_FILENO, text.data(), text.size());
  ::_exit(1);
}

// Forks, runs the body, which is done when it returns. Returns what waitpid says; 0 is success.
inline int in_child(const std::function<void()>& body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace hardstop::test
