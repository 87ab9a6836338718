// What a service runs its jobs with: a pool, and the knowledge which function a name stands for.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "service/course.hpp"
#include <hardstop/detail/engine.hpp>
#include <hardstop/options.hpp>
#include <hardstop/service.hpp>
#include <hardstop/source.hpp>

namespace hardstop::serving {

// Called by one thread at a time, but stats().
class runner {
 public:
  runner() = default;
  runner(const runner&) = delete;
  runner& operator=(const runner&) = delete;
  virtual ~runner() = default;

  // Returns when a job could run. Throws if none ever will.
  virtual void open() = 0;

  // Whether start() neither blocks nor takes locks of others: then the core itself may call it.
  [[nodiscard]] virtual bool starts_at_once() const noexcept { return false; }

  // Throws message_refused, or what submitting throws.
  virtual detail::job_handle start(const taken_job& job, const std::string& tmpdir) = 0;

  // Between asking and killing, for a job as it was taken. Any thread.
  [[nodiscard]] virtual std::chrono::nanoseconds grace_of(const taken_job& job) const = 0;

  // Ends the pool: what still runs when the time is over is killed. Returns when all is gone.
  virtual void close(std::chrono::nanoseconds within) = 0;

  // Any thread; nothing before open().
  [[nodiscard]] virtual std::optional<pool_stats> stats() const = 0;
};

// Functions of this program.
class function_runner final : public runner {
 public:
  explicit function_runner(pool_options options);

  void add(std::string name, const service_job_options& how, detail::message_submitter submit);

  void open() override;

  [[nodiscard]] bool starts_at_once() const noexcept override { return options_.max_pending == 0; }

  detail::job_handle start(const taken_job& job, const std::string& tmpdir) override;
  [[nodiscard]] std::chrono::nanoseconds grace_of(const taken_job& job) const override;
  void close(std::chrono::nanoseconds within) override;
  [[nodiscard]] std::optional<pool_stats> stats() const override;

 private:
  struct registered {
    service_job_options how;
    detail::message_submitter submit = nullptr;
  };

  pool_options options_;
  std::map<std::string, registered, std::less<>> jobs_;
  detail::pool_handle pool_;
};

}  // namespace hardstop::serving
