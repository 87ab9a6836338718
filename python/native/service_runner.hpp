// What a Python service runs its jobs with: a ProcessPoolExecutor and the functions by their names.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "calling.hpp"
#include "service/runner.hpp"
#include <hardstop/detail/engine.hpp>

namespace hardstop::python {

// What Python's side does for it, each called with the GIL:
//
//   open()       starts the executor, returns its Pool when a job could run
//   call_for(job, (name, encoding, arguments), timeout, grace, tmpdir)
//                (function, arguments, options) to be submitted; raises MessageRefusedError
//   close()      when all processes are gone
struct runner_callbacks {
  shared_callable open;
  shared_callable call_for;
  shared_callable close;
};

class python_runner final : public serving::runner {
 public:
  explicit python_runner(runner_callbacks callbacks) : callbacks_(std::move(callbacks)) {}

  // Before the service runs: grace_of() is called by the service's core, which never takes the GIL.
  void set_grace(std::string name, std::chrono::nanoseconds grace) {
    graces_[std::move(name)] = grace;
  }

  void open() override;
  detail::job_handle start(const taken_job& job, const std::string& tmpdir) override;
  [[nodiscard]] std::chrono::nanoseconds grace_of(const taken_job& job) const override;
  void close(std::chrono::nanoseconds within) override;
  [[nodiscard]] std::optional<pool_stats> stats() const override;

 private:
  [[nodiscard]] std::optional<detail::pool_handle> handle() const;

  const runner_callbacks callbacks_;
  std::map<std::string, std::chrono::nanoseconds, std::less<>> graces_;
  std::optional<shared_callable> pool_;  // Python's

  mutable std::mutex mutex_;
  std::optional<detail::pool_handle> handle_;
  std::optional<pool_stats> last_stats_;  // once there is no pool any more
};

}  // namespace hardstop::python
