#include "service/queue/memory_jobs.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "os/clock.hpp"
#include "service/queue/checks.hpp"
#include "service/queue/job_table.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::storage {
namespace {

using std::chrono::nanoseconds;

// So that a deadline can be computed, and a clock that was set is noticed.
constexpr nanoseconds longest_patience = std::chrono::hours(24 * 365);
constexpr nanoseconds longest_sleep = std::chrono::seconds(1);

constexpr std::size_t most_abandoned = 1000;

constexpr const char* said_nothing = "the service that had it said nothing until its lease ran out";

}  // namespace

memory_jobs::memory_jobs(const memory_queue_options& options, wall_clock now)
    : options_(options), now_(std::move(now)) {
  validate(options);
}

std::string memory_jobs::enqueue(const job_message& message) {
  validate(message);
  const std::lock_guard lock{mutex_};
  if (closed_) {
    throw queue_failure("cannot enqueue job \"" + message.name +
                        "\": the queue was closed. Enqueue before close()");
  }
  const auto id = ++last_id_;
  jobs_.emplace(id, held_job{.message = message});
  ready_.insert(id);
  changed_.notify_all();
  return std::to_string(id);
}

bool memory_jobs::cancel(std::string_view id) {
  const std::lock_guard telling{telling_};
  receipt running;
  {
    const std::lock_guard lock{mutex_};
    const auto found = find(id);
    if (found == jobs_.end()) return false;
    auto& [number, job] = *found;
    running = {.job = std::string{id}, .attempt = job.lease};
    if (ready_.contains(number)) {
      abandon(found, {.receipt = running,
                      .reason = nack_reason::cancelled,
                      .text = "cancelled before it ran"});
      return true;
    }
    if (std::exchange(job.to_be_stopped, true)) return true;
  }
  if (tell_) tell_(running);
  return true;
}

void memory_jobs::close() {
  const std::lock_guard lock{mutex_};
  closed_ = true;
  changed_.notify_all();
}

std::size_t memory_jobs::size() const {
  const std::lock_guard lock{mutex_};
  return jobs_.size();
}

std::vector<nacked_job> memory_jobs::abandoned() const {
  const std::lock_guard lock{mutex_};
  return abandoned_;
}

taking memory_jobs::take(std::size_t at_most, nanoseconds patience) {
  const auto deadline = os::now() + std::min(patience, longest_patience);
  std::unique_lock lock{mutex_};
  for (;;) {
    const auto now = now_();
    sweep(now);
    if (auto taken = lease_some(at_most, now); !taken.empty()) return {.jobs = std::move(taken)};
    if (closed_ && jobs_.empty()) return {.exhausted = true};
    if (std::exchange(interrupted_, false) || os::now() >= deadline) return {};
    changed_.wait_until(lock, std::min(deadline, os::now() + until_next_end(now)));
  }
}

void memory_jobs::interrupt() noexcept {
  const std::lock_guard lock{mutex_};
  interrupted_ = true;
  changed_.notify_all();
}

std::vector<receipt> memory_jobs::extend(std::span<const receipt> leases) {
  const std::lock_guard lock{mutex_};
  const auto until = now_() + options_.lease;
  std::vector<receipt> lost;
  for (const auto& each : leases) {
    const auto found = leased_as(each);
    if (found == jobs_.end()) {
      lost.push_back(each);
      continue;
    }
    found->second.lease_until = until;
    ready_.erase(found->first);
    leased_.insert(found->first);
  }
  return lost;
}

std::vector<receipt> memory_jobs::ack(std::span<const receipt> done) {
  const std::lock_guard lock{mutex_};
  std::vector<receipt> refused;
  for (const auto& each : done) {
    const auto found = leased_as(each);
    if (found == jobs_.end()) {
      refused.push_back(each);
    } else {
      forget(found);
    }
  }
  return refused;
}

std::vector<receipt> memory_jobs::nack(std::span<const nacked_job> returned) {
  const std::lock_guard lock{mutex_};
  std::vector<receipt> refused;
  for (const auto& each : returned) {
    const auto found = leased_as(each.receipt);
    if (found == jobs_.end()) {
      refused.push_back(each.receipt);
    } else {
      settle(found, each);
    }
  }
  return refused;
}

void memory_jobs::on_cancel(std::function<void(const receipt&)> tell) {
  const std::lock_guard telling{telling_};
  tell_ = std::move(tell);
}

memory_jobs::job_map::iterator memory_jobs::find(std::string_view id) {
  const auto number = to_row(id);
  return number ? jobs_.find(static_cast<std::uint64_t>(*number)) : jobs_.end();
}

memory_jobs::job_map::iterator memory_jobs::leased_as(const receipt& which) {
  const auto found = find(which.job);
  if (found == jobs_.end()) return found;
  const auto& job = found->second;
  return job.lease_until && job.lease == which.attempt ? found : jobs_.end();
}

void memory_jobs::sweep(wall_time now) {
  for (auto at = leased_.begin(); at != leased_.end();) {
    const auto number = *at++;  // what is swept leaves the set
    const auto each = jobs_.find(number);
    const auto& job = each->second;
    if (*job.lease_until > now) continue;
    const receipt last{.job = std::to_string(number), .attempt = job.lease};
    if (job.to_be_stopped) {
      abandon(each, {.receipt = last, .reason = nack_reason::cancelled, .text = said_nothing});
    } else if (job.attempts >= options_.max_attempts) {
      abandon(each, {.receipt = last, .reason = nack_reason::failed, .text = said_nothing});
    } else {
      leased_.erase(number);
      ready_.insert(number);
    }
  }
}

void memory_jobs::settle(job_map::iterator which, const nacked_job& how) {
  auto& [number, job] = *which;
  const bool again = how.reason == nack_reason::returned || how.reason == nack_reason::failed;
  const bool used_up = how.reason == nack_reason::failed && job.attempts >= options_.max_attempts;
  if (!again || used_up || job.to_be_stopped) {
    auto last = how;
    if (again && job.to_be_stopped) last.reason = nack_reason::cancelled;
    abandon(which, last);
    return;
  }
  if (how.reason == nack_reason::returned) --job.attempts;
  job.lease_until.reset();
  leased_.erase(number);
  ready_.insert(number);
  changed_.notify_all();
}

void memory_jobs::abandon(job_map::iterator which, const nacked_job& how) {
  if (abandoned_.size() == most_abandoned) abandoned_.erase(abandoned_.begin());
  abandoned_.push_back(how);
  forget(which);
}

void memory_jobs::forget(job_map::iterator which) {
  ready_.erase(which->first);
  leased_.erase(which->first);
  jobs_.erase(which);
  if (jobs_.empty()) changed_.notify_all();  // for those who wait for the last of a closed queue
}

std::vector<taken_job> memory_jobs::lease_some(std::size_t at_most, wall_time now) {
  std::vector<taken_job> taken;
  while (taken.size() < std::max<std::size_t>(at_most, 1) && !ready_.empty()) {
    const auto number = ready_.extract(ready_.begin()).value();
    leased_.insert(number);
    auto& job = jobs_.at(number);
    ++job.lease;
    ++job.attempts;
    job.lease_until = now + options_.lease;
    taken.push_back({.receipt = {.job = std::to_string(number), .attempt = job.lease},
                     .message = job.message,
                     .lease_until = job.lease_until});
  }
  return taken;
}

nanoseconds memory_jobs::until_next_end(wall_time now) const {
  nanoseconds next = longest_sleep;
  for (const auto number : leased_)
    next = std::min<nanoseconds>(next, *jobs_.at(number).lease_until - now);
  return std::max(next, nanoseconds::zero());
}

}  // namespace hardstop::storage
