// Workers that speak Python: how they are forked or executed, and what they run.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "engine/worker_language.hpp"
#include "python.hpp"

namespace hardstop::python {

// How the processes of one pool come to be. Made and destroyed with the GIL; used by any thread,
// without it.
class python_language final : public engine::worker_language {
 public:
  // program: what is executed for forkserver and spawn; make_runtime: () -> bytes, what a worker is
  // told, asked for at each birth of a guardian.
  python_language(std::vector<std::string> program, object make_runtime);
  ~python_language() override;

  guardian::guardian_hooks& hooks() override;

  std::vector<std::string> program() override { return program_; }

  std::vector<std::byte> spec() override;
  void before_fork() override;
  void after_fork() override;
  std::optional<wire::failure> read_failure(std::span<const std::byte> payload) const override;

  [[nodiscard]] int question_signal() const override;

  // How many guardians of the pool were born or are about to be. Any thread.
  [[nodiscard]] unsigned births() const { return births_.load(std::memory_order_acquire); }

  [[nodiscard]] bool keeps_exceptions() const override { return true; }

 private:
  const std::vector<std::string> program_;
  object make_runtime_;
  std::atomic<unsigned> births_{0};
  PyGILState_STATE gil_ = PyGILState_UNLOCKED;  // from before_fork() to after_fork()
};

// An interpreter that was executed as a guardian or a worker: plays its part and never returns.
// With the GIL.
[[noreturn]] void serve_role();

// In a worker, called by what Python calls its main: maps what it was born with and runs jobs until
// it is asked to leave. With the GIL.
void serve_jobs();

}  // namespace hardstop::python
