// The durable queue, with a clock that tests can set. queue.hpp says what it promises, schema.hpp
// how it is kept.
//
// Threads: those that enqueue, the one that takes and the one that settles have a connection each,
// so that none waits for another's flush of the disk. A thread of the queue's own, only while
// somebody listens for cancellations, watches for these: take() may not be called for a long time,
// when the service has as many jobs as it wants.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "service/process_local.hpp"
#include <hardstop/queue.hpp>
#include <hardstop/source.hpp>

namespace hardstop::storage {

using wall_clock = std::function<std::chrono::system_clock::time_point()>;

class file_queue final : public source {
 public:
  file_queue(const std::string& path, const queue_options& options,
             wall_clock now = &std::chrono::system_clock::now);
  ~file_queue() override;

  [[nodiscard]] std::vector<std::string> enqueue(std::span<const job_message> messages,
                                                 const enqueue_options& options);
  bool cancel(std::string_view id);
  bool requeue(std::string_view id);
  [[nodiscard]] std::optional<queued_job> find(std::string_view id);
  [[nodiscard]] std::vector<queued_job> jobs(const queued_filter& filter);
  [[nodiscard]] std::size_t count(queued_state state);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  taking take(std::size_t at_most, std::chrono::nanoseconds patience) override;
  void interrupt() noexcept override;
  std::vector<receipt> extend(std::span<const receipt> leases) override;
  std::vector<receipt> ack(std::span<const receipt> done) override;
  std::vector<receipt> nack(std::span<const nacked_job> jobs) override;
  void on_cancel(std::function<void(const receipt&)> tell) override;

 private:
  class in_process;  // what a forked child makes anew

  const std::string path_;
  const queue_options options_;
  const wall_clock now_;
  process_local<in_process> here_;
};

}  // namespace hardstop::storage
