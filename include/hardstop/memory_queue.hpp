// A queue of jobs inside this process: a service's source for what the program itself comes up
// with, and the plainest example of a source.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <hardstop/message.hpp>
#include <hardstop/source.hpp>

namespace hardstop {

struct memory_queue_options {
  /// Attempts until a job is given up; those that were are in abandoned().
  unsigned max_attempts = 1;
  std::chrono::nanoseconds lease = std::chrono::seconds(30);
};

/// First in, first out; a job that is to be tried again has kept its place. Any thread may use it
/// concurrently. What it holds ends with the process; a forked child must not use it.
class memory_queue final : public source {
 public:
  explicit memory_queue(const memory_queue_options& options = {});
  ~memory_queue() override;

  /// Returns the job's id. Throws queue_failure after close().
  std::string enqueue(std::string_view name,
                      const nlohmann::json& arguments = nlohmann::json::array());
  std::string enqueue(const job_message& message);

  /// One that waits is dropped; one that runs is stopped. False: there is no such job.
  bool cancel(std::string_view id);

  /// No more jobs: the service that takes from it drains when it is empty.
  void close();

  /// Neither done nor given up: waiting, and leased.
  [[nodiscard]] std::size_t size() const;

  /// Jobs that were given up, cancelled or refused, with the reason: the last thousand.
  [[nodiscard]] std::vector<nacked_job> abandoned() const;

  taking take(std::size_t at_most, std::chrono::nanoseconds patience) override;
  void interrupt() noexcept override;
  std::vector<receipt> extend(std::span<const receipt> leases) override;
  std::vector<receipt> ack(std::span<const receipt> done) override;
  std::vector<receipt> nack(std::span<const nacked_job> jobs) override;
  void on_cancel(std::function<void(const receipt&)> tell) override;

  /// Leases run out, but the jobs end with the process.
  [[nodiscard]] bool leases() const noexcept override { return false; }

 private:
  class implementation;
  std::unique_ptr<implementation> implementation_;
};

}  // namespace hardstop
