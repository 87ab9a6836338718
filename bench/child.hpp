// A plain child process, as the peers use it: fork, pidfd, SIGKILL, reap.
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <system_error>

#include "cell.hpp"
#include "os/pidfd.hpp"

namespace bench {

// Killed and reaped by its destructor. Assumes that the cell is single-threaded.
class child {
 public:
  template <class Run>
  explicit child(Run run) {
    const pid_t pid = fork();
    if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid == 0) {
      run();
      _exit(0);
    }
    auto opened = hardstop::os::pidfd::open(pid);
    if (!opened) throw wrong(opened.error().message());
    handle_ = std::move(*opened);
  }

  child(const child&) = delete;
  child& operator=(const child&) = delete;

  ~child() {
    if (!handle_) return;
    kill();
    reap();
  }

  [[nodiscard]] pid_t pid() const { return handle_.pid(); }

  void kill() const { static_cast<void>(handle_.send_signal(SIGKILL)); }

  // The kernel says so by making the pidfd readable.
  void wait_gone() const {
    if (!handle_.wait_ended(std::chrono::seconds(10))) throw wrong("a killed child did not end");
  }

  void reap() {
    wait_gone();
    static_cast<void>(handle_.reap());
    handle_ = {};
  }

 private:
  hardstop::os::pidfd handle_;
};

}  // namespace bench
