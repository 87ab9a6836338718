// What a pool's workers speak, and how their processes come to be: C++ by default
// (cpp_workers.hpp), Python in its package.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "guardian/hooks.hpp"
#include "wire/failure.hpp"

namespace hardstop::engine {

inline constexpr const char* last_words_file = "hardstop-last-words";
inline constexpr char end_of_answer = '\4';

// Asked by the thread that gives birth, without any lock of the engine held, but for
// read_failure().
class worker_language {
 public:
  worker_language() = default;
  worker_language(const worker_language&) = delete;
  worker_language& operator=(const worker_language&) = delete;
  virtual ~worker_language() = default;

  // What guardian and workers run when they are forked. Must outlive the guardian, that is: never
  // be destroyed.
  virtual guardian::guardian_hooks& hooks() = 0;

  // For forkserver and spawn: program and arguments that come to guardian::serve(), and what is put
  // into its environment.
  virtual std::vector<std::string> program() = 0;

  virtual std::vector<std::pair<std::string, std::string>> variables() { return {}; }

  // Bytes of its own in the spec of every worker. What it throws leaves submit().
  virtual std::vector<std::byte> spec() { return {}; }

  // In the thread that forks the client, around the fork and nothing else; not for forkserver and
  // spawn.
  virtual void before_fork() {}

  virtual void after_fork() {}

  // A signal that a worker answers by writing where its job is into a file in memory called
  // last_words_file, with end_of_answer as its last byte; 0 if there is none (last_words.cpp).
  [[nodiscard]] virtual int question_signal() const { return 0; }

  // What a report of kind exception tells, or nothing if it cannot be read. Untrusted bytes, which
  // the worker may still change; under the engine's lock: quick, and calls nobody.
  virtual std::optional<wire::failure> read_failure(std::span<const std::byte> payload) const {
    return wire::decode_failure(payload);
  }

  // Whether the payload of an exception is kept for job_handle::payload().
  [[nodiscard]] virtual bool keeps_exceptions() const { return false; }
};

}  // namespace hardstop::engine
