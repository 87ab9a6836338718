// What hardstop throws. Each message says what happened, to which job, in which process, and what
// can be done.
//
// clang-format off
//   error
//   ├─ job_error                the job has no value; holds its outcome
//   │  ├─ job_exception         the function threw
//   │  ├─ job_cancelled         stopped by its caller or by the pool's shutdown: run it again later
//   │  ├─ job_timed_out         its own time limit: it would happen again
//   │  ├─ worker_died           crash, exit, SIGKILL from elsewhere; the pool lives on
//   │  ├─ memory_limit_exceeded
//   │  └─ job_not_started
//   ├─ encode_error             an argument cannot travel; nothing was submitted
//   ├─ decode_error             what came back cannot be read
//   ├─ bad_options              a value in options makes no sense
//   ├─ queue_full               max_pending jobs wait, and the pool rejects
//   ├─ pool_closed              submit after shutdown
//   ├─ pool_broken              no worker can start
//   ├─ forked_child             a pool used in a child of the process that made it
//   ├─ not_initialised          an executed worker came to a pool before hardstop::init()
//   ├─ other_build              the worker's program is another build than the client's
//   ├─ would_deadlock           a wait, in a callback, for what only callbacks' own thread can bring
//   ├─ containment_error        this machine cannot contain jobs
//   ├─ queue_failure            a queue's or a journal's file cannot be read or written
//   ├─ message_refused          a message that no job here can be made of
//   └─ system_failure           the kernel refused something the engine needs
// clang-format on
#pragma once

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include <hardstop/outcome.hpp>

namespace hardstop {

class error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A job that has no value. Copying one shares the outcome.
class job_error : public error {
 public:
  explicit job_error(hardstop::outcome how);

  [[nodiscard]] const hardstop::outcome& outcome() const noexcept { return *outcome_; }

 private:
  std::shared_ptr<const hardstop::outcome> outcome_;
};

class job_exception : public job_error {
 public:
  using job_error::job_error;

  /// The exception's type as written in C++, and its what().
  [[nodiscard]] const std::string& type() const noexcept;
  [[nodiscard]] const std::string& message() const noexcept;
};

class job_cancelled : public job_error {
  using job_error::job_error;
};

class job_timed_out : public job_error {
  using job_error::job_error;
};

class worker_died : public job_error {
  using job_error::job_error;
};

class memory_limit_exceeded : public job_error {
  using job_error::job_error;
};

class job_not_started : public job_error {
  using job_error::job_error;
};

class encode_error : public error {
  using error::error;
};

class decode_error : public error {
  using error::error;
};

class invalid_future : public error {
  using error::error;
};

class bad_options : public error {
  using error::error;
};

class queue_full : public error {
  using error::error;
};

class pool_closed : public error {
  using error::error;
};

class pool_broken : public error {
  using error::error;
};

class forked_child : public error {
  using error::error;
};

class not_initialised : public error {
  using error::error;
};

class other_build : public error {
  using error::error;
};

class would_deadlock : public error {
  using error::error;
};

class containment_error : public error {
  using error::error;
};

class queue_failure : public error {
  using error::error;
};

class message_refused : public error {
  using error::error;
};

class system_failure : public error {
 public:
  system_failure(std::error_code code, const std::string& what)
      : error(what + ": " + code.message()), code_(code) {}

  [[nodiscard]] std::error_code code() const noexcept { return code_; }

 private:
  std::error_code code_;
};

/// Throws the exception that belongs to an outcome that is not a value.
[[noreturn]] void throw_job_error(hardstop::outcome how);

/// The same as a pointer; null for a value.
[[nodiscard]] std::exception_ptr make_job_error(hardstop::outcome how);

}  // namespace hardstop
