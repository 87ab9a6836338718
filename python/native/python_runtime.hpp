// What a Python worker does with a job.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "python.hpp"
#include "worker/runtime.hpp"

namespace hardstop::python {

class python_runtime final : public worker::runtime {
 public:
  std::optional<wire::failure> start(const worker::spec&, const wire::client_words&) override;
  void execute(const worker::job_view&, worker::job_output&) override;
  bool should_retire() override;
  void before_sleep() override;
  void after_sleep() override;

 private:
  object call(std::span<const std::byte> payload, const worker::job_view&);
  object call_known(std::span<const std::byte> payload, const worker::job_view&);
  object call_known_with_pickle(std::span<const std::byte> payload);
  object call_pickled(std::span<const std::byte> payload, const worker::job_view&);
  PyObject* function_of(std::span<const std::byte> blob);
  void rehearse();
  static bool answer(PyObject* result, worker::job_output&);
  static void answer_with_exception(worker::job_output&);

  // Functions by the bytes that name them; for ever, as modules keep them.
  std::unordered_map<std::string, object> functions_;
  bool ran_since_ = false;  // a job, since should_retire() was asked
  PyThreadState* asleep_ = nullptr;
};

// What a worker is sent to tell where its job is: late among the real-time signals, which few use.
int where_signal() noexcept;

// Bytes that a worker may keep between jobs; 0: no limit.
void limit_kept_memory(std::uint64_t bytes) noexcept;

// The attempt that runs in this process, for hardstop.current_job().
struct running_job {
  wire::ticket ticket = wire::ticket::none;
  unsigned attempt = 0;
  std::optional<double> deadline;  // seconds, of the monotonic clock
  worker::job_output* output = nullptr;
  const wire::client_words* words = nullptr;
};

const running_job& the_running_job();

}  // namespace hardstop::python
