// What a service tells of itself: numbers, for Prometheus and for people.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "service/engine.hpp"
#include <hardstop/semaphore.hpp>

namespace hardstop::serving {

namespace {

using stage = job_state_of_service::stage;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char each : text) {
    if (each == '\\' || each == '"') out += '\\';
    out += each == '\n' ? ' ' : each;
  }
  return out;
}

// Text exposition format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/
class exposition {
 public:
  explicit exposition(std::string_view service) {
    label_.append("service=\"").append(escaped(service)).append("\"");
  }

  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = "hardstop_service_";
    name_.append(name);
    text_.append("# HELP ").append(name_).append(" ").append(help);
    text_.append("\n# TYPE ").append(name_).append(" ").append(type).append("\n");
  }

  void sample(double value, std::string_view label = {}, std::string_view of = {}) {
    text_.append(name_).append("{").append(label_);
    if (!label.empty()) text_.append(",").append(label).append("=\"").append(of).append("\"");
    std::array<char, 32> number{};
    const int size = std::snprintf(number.data(), number.size(), "%.17g", value);
    text_.append("} ").append(number.data(), static_cast<std::size_t>(size)).append("\n");
  }

  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string label_;
  std::string name_;
  std::string text_;
};

double in_seconds(duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

service_stats service_engine::stats_locked(instant now) const {
  const course& at = *course_;
  const tallies& counted = at.counted();
  service_stats all{.phase = at.phase(),
                    .ready = at.ready(),
                    .waiting = at.waiting(),
                    .running = at.started(),
                    .unsettled = at.open().size() - at.waiting() - at.started(),
                    .taken = counted.taken,
                    .finished = counted.finished,
                    .failed = counted.failed,
                    .killed = counted.killed,
                    .cancelled = counted.cancelled,
                    .returned = counted.returned,
                    .refused = counted.refused,
                    .journaled = counted.journaled,
                    .lost_leases = counted.lost_leases,
                    .source_errors = counted.source_errors,
                    .oldest = duration::zero(),
                    .drain_left = {}};
  for (const auto& [number, it] : at.open()) {
    if (it.at == stage::started) all.oldest = std::max<duration>(all.oldest, now - it.started_at);
  }
  if (at.phase() == service_phase::drain && at.drain_ends()) {
    all.drain_left = std::max(duration::zero(), duration(*at.drain_ends() - now));
  }
  return all;
}

service_stats service_engine::stats() const {
  const std::scoped_lock lock(course_mutex_);
  return course_ ? stats_locked(std::chrono::steady_clock::now()) : service_stats();
}

std::string service_engine::metrics() const {
  const service_stats now = stats();
  exposition out(options_.name);
  out.family("phase", "gauge", "1 for the phase that the service is in.");
  for (const auto each : {service_phase::setup, service_phase::accept, service_phase::drain,
                          service_phase::dispose, service_phase::shutdown, service_phase::over}) {
    out.sample(each == now.phase ? 1 : 0, "phase", to_string(each));
  }
  out.family("ready", "gauge", "1 while it takes jobs.");
  out.sample(now.ready ? 1 : 0);
  out.family("jobs", "gauge", "Jobs in hand, by how far they are.");
  out.sample(static_cast<double>(now.waiting), "state", "waiting");
  out.sample(static_cast<double>(now.running), "state", "running");
  out.sample(static_cast<double>(now.unsettled), "state", "unsettled");
  out.family("taken_total", "counter", "Jobs taken from the source.");
  out.sample(static_cast<double>(now.taken));
  out.family("ended_total", "counter", "Jobs that are settled, by what became of them.");
  const std::pair<const char*, std::uint64_t> ends[] = {
      {"finished", now.finished},   {"failed", now.failed},         {"killed", now.killed},
      {"cancelled", now.cancelled}, {"returned", now.returned},     {"refused", now.refused},
      {"journaled", now.journaled}, {"lease_lost", now.lost_leases}};
  for (const auto& [name, count] : ends)
    out.sample(static_cast<double>(count), "end", name);
  out.family("source_errors_total", "counter", "Calls into the source that failed.");
  out.sample(static_cast<double>(now.source_errors));
  out.family("oldest_running_seconds", "gauge", "For how long the oldest running job has run.");
  out.sample(in_seconds(now.oldest));
  if (now.drain_left) {
    out.family("drain_left_seconds", "gauge", "Until what still runs is killed.");
    out.sample(in_seconds(*now.drain_left));
  }
  if (const auto pool = runner_->stats()) {
    out.family("workers", "gauge", "Processes that can run jobs.");
    out.sample(static_cast<double>(pool->workers));
    out.family("kills_total", "counter", "Process trees killed.");
    out.sample(static_cast<double>(pool->kills));
  }
  return out.take();
}

std::string service_engine::describe_locked() const {
  const instant now = std::chrono::steady_clock::now();
  const service_stats all = stats_locked(now);
  std::string text = "hardstop " + options_.name + " (process " + std::to_string(::getpid()) +
                     "): " + std::string(to_string(all.phase)) + ", " +
                     std::to_string(all.running) + " running, " + std::to_string(all.waiting) +
                     " waiting, " + std::to_string(all.unsettled) + " to be settled";
  if (all.drain_left) text += ", deadline in " + to_string(*all.drain_left);
  text += "\n";
  for (const auto& [number, it] : course_->open()) {
    const auto held = held_.find(number);
    if (held == held_.end()) continue;
    static constexpr std::array words{"being written to the journal", "waiting", "running",
                                      "ended, to be settled"};
    text += "  " + it.receipt.job + " " + it.name + ", attempt " +
            std::to_string(it.receipt.attempt) + ": " + words[static_cast<std::size_t>(it.at)];
    if (it.at == stage::started) {
      const auto time = std::chrono::round<std::chrono::milliseconds>(now - it.started_at);
      text += " for " + to_string(std::chrono::nanoseconds(time));
      if (held->second.handle) text += " in process " + std::to_string(held->second.handle.pid());
    }
    text += "\n";
  }
  for (const semaphore_stats& each : busy_semaphores()) {
    text += "  semaphore " + each.name + ", " + std::to_string(each.available) + " of " +
            std::to_string(each.permits) + " free\n";
    for (const permit_owner& holder : each.holders) {
      text += "    held by " + holder.who + ": " + std::to_string(holder.count) + " for " +
              to_string(holder.since) + "\n";
    }
    for (const permit_owner& waiter : each.waiters) {
      text += "    awaited by " + waiter.who + ": " + std::to_string(waiter.count) + " for " +
              to_string(waiter.since) + "\n";
    }
  }
  return text;
}

std::string service_engine::describe() const {
  const std::scoped_lock lock(course_mutex_);
  return course_ ? describe_locked() : options_.name + ": has not begun\n";
}

}  // namespace hardstop::serving
