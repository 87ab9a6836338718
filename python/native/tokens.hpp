// Cancel tokens: jobs that follow a pipe. Whoever made the token writes to the pipe once, and every
// process that has an end of it sees it readable from then on: what is in it is looked at, never
// taken out.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "os/descriptor.hpp"
#include <hardstop/detail/engine.hpp>

namespace hardstop::python {

// The seconds of grace that the token was cancelled with, if it was. Nothing is taken out. A grace
// below zero: each job's own.
std::optional<double> look_into(int pipe) noexcept;

// One thread that waits for the tokens of a process, while there are any. Needs no GIL: it is
// quick while Python code keeps that. Thread-safe.
class token_watch {
 public:
  // Of this process: a forked child has its own.
  static token_watch& instance();

  // Cancels the job when the token of that pipe is cancelled; at once if it has been. Throws
  // system_failure.
  void follow(int pipe, const detail::job_handle& job);

  // Ends the thread; tokens have no effect from then on.
  void stop();

 private:
  struct followed {
    os::descriptor pipe;  // a copy: the token may be gone first
    std::vector<detail::job_handle> jobs;
  };

  void start();
  void loop();
  void look(std::uint64_t number);
  void sweep();

  std::mutex lock_;
  os::descriptor poll_;
  os::descriptor bell_;
  std::map<std::uint64_t, followed> tokens_;
  std::map<std::pair<dev_t, ino_t>, std::uint64_t> by_pipe_;
  std::uint64_t last_number_ = 0;
  std::thread thread_;
  bool stopping_ = false;
};

}  // namespace hardstop::python
