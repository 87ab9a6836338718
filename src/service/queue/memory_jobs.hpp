// The in-process queue, with a clock that tests can set. memory_queue.hpp says what it promises.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <hardstop/memory_queue.hpp>
#include <hardstop/source.hpp>

namespace hardstop::storage {

class memory_jobs final : public source {
 public:
  using wall_time = std::chrono::system_clock::time_point;
  using wall_clock = std::function<wall_time()>;

  explicit memory_jobs(const memory_queue_options& options,
                       wall_clock now = &std::chrono::system_clock::now);

  [[nodiscard]] std::string enqueue(const job_message& message);
  bool cancel(std::string_view id);
  void close();
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::vector<nacked_job> abandoned() const;

  taking take(std::size_t at_most, std::chrono::nanoseconds patience) override;
  void interrupt() noexcept override;
  std::vector<receipt> extend(std::span<const receipt> leases) override;
  std::vector<receipt> ack(std::span<const receipt> done) override;
  std::vector<receipt> nack(std::span<const nacked_job> returned) override;
  void on_cancel(std::function<void(const receipt&)> tell) override;

 private:
  struct held_job {
    job_message message{};
    unsigned lease = 0;     // the attempt of its receipts
    unsigned attempts = 0;  // those that count
    bool to_be_stopped = false;
    // Stays when it has run out, for as long as nobody else has been given the job: until then it
    // may be settled by whoever had it.
    std::optional<wall_time> lease_until{};
  };

  using job_map = std::map<std::uint64_t, held_job>;

  // All below: with mutex_ held.
  [[nodiscard]] job_map::iterator find(std::string_view id);
  [[nodiscard]] job_map::iterator leased_as(const receipt& which);
  void sweep(wall_time now);
  void settle(job_map::iterator which, const nacked_job& how);
  void abandon(job_map::iterator which, const nacked_job& how);
  void forget(job_map::iterator which);
  [[nodiscard]] std::vector<taken_job> lease_some(std::size_t at_most, wall_time now);
  [[nodiscard]] std::chrono::nanoseconds until_next_end(wall_time now) const;

  const memory_queue_options options_;
  const wall_clock now_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  job_map jobs_;                    // all below
  std::set<std::uint64_t> ready_;   // may be given out
  std::set<std::uint64_t> leased_;  // the others
  std::vector<nacked_job> abandoned_;
  std::uint64_t last_id_ = 0;
  bool closed_ = false;
  bool interrupted_ = false;

  // Held while `tell_` runs, so that it can be taken away for good. Before mutex_, never after.
  std::mutex telling_;
  std::function<void(const receipt&)> tell_;
};

}  // namespace hardstop::storage
