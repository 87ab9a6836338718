#include "guardian/worker_table.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "guardian/worker_start.hpp"

namespace hardstop::guardian {

bool worker_table::knows(wire::worker_id id) const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [&](const tracked_worker& worker) { return worker.id == id; });
}

void worker_table::stop(wire::worker_id id) {
  for (auto& worker : workers_) {
    if (worker.id == id && !worker.ending_since) {
      kill_root(worker.pid);
      if (worker.leaf) worker.leaf.kill_all();
      begin_ending(worker);
    }
  }
}

void worker_table::stop_all() {
  left_alone_.clear();
  for (auto& worker : workers_) {
    if (!worker.ending_since) stop(worker.id);
  }
  next_look_ = os::now();
}

void worker_table::begin_ending(tracked_worker& worker) {
  worker.ending_since = os::now();
  sweep_.begin();
  // Its SIGCHLD will come before that, if all goes well.
  next_look_ = std::min(next_look_, *worker.ending_since + tree_sweep::limits{}.freeze_after);
}

std::vector<wire::gone> worker_table::advance() {
  reap();
  if (os::now() >= next_look_) {
    std::vector<pid_t> spared{left_alone_};
    for (const auto& worker : workers_) {
      if (!worker.ending_since) spared.push_back(worker.pid);
    }
    next_look_ = sweep_.look(spared);
  }
  std::vector<wire::gone> accounts;
  const auto now = os::now();
  std::erase_if(workers_, [&](tracked_worker& worker) {
    if (!worker.ending_since) return false;
    if (!tree_is_gone(worker) && now < *worker.ending_since + confirm_within_) return false;
    accounts.push_back(account_for(worker, now));
    if (worker.leaf) old_leaves_.push_back(std::move(worker.leaf));
    return true;
  });
  remove_leaves();
  return accounts;
}

os::time_point worker_table::next_wake() const {
  auto wake = next_look_;
  for (const auto& worker : workers_) {
    if (worker.ending_since) wake = std::min(wake, *worker.ending_since + confirm_within_);
  }
  return wake;
}

void worker_table::reap() {
  for (auto ended = reap_any(); ended; ended = reap_any())
    bury(*ended);
}

void worker_table::bury(const corpse& ended) {
  const auto known = sweep_.forget(ended.pid);
  const auto itself = std::find_if(
      workers_.begin(), workers_.end(),
      [&](const tracked_worker& worker) { return worker.pid == ended.pid && !worker.end; });
  if (itself != workers_.end()) {
    itself->end = ended;
    itself->ended_after_look = sweep_.looks();
    if (!itself->ending_since) {
      // What it leaves behind goes the same way as after a kill.
      if (itself->leaf) itself->leaf.kill_all();
      begin_ending(*itself);
    }
    next_look_ = os::now();
    return;
  }
  if (known) next_look_ = os::now();
  // One never seen before was orphaned as a corpse; whose it was is a guess, good enough for a
  // count.
  const auto owner =
      std::find_if(workers_.begin(), workers_.end(), [&](const tracked_worker& worker) {
        if (!worker.ending_since) return false;
        return known ? may_belong(ended.pid, *known, worker) : worker.end.has_value();
      });
  if (owner == workers_.end()) return;
  if (ended.status.signal == SIGKILL) ++owner->strays_stopped;
  owner->strays_cpu_time += ended.cpu_time;
  owner->strays_peak_memory = std::max(owner->strays_peak_memory, ended.peak_memory);
}

// Never false for one that is its: a wrong yes only makes it wait for a neighbour's.
bool worker_table::may_belong(pid_t pid, const tree_sweep::stray& found,
                              const tracked_worker& to) const {
  // A session is left by setsid only, and joined by birth only.
  if (pid == to.pid || found.session == to.pid) return true;
  const bool from_another = std::any_of(
      workers_.begin(), workers_.end(),
      [&](const tracked_worker& other) { return pid == other.pid || found.session == other.pid; });
  if (from_another || !to.end) return false;
  // Every look follows a reaping of all that had ended: what an earlier look saw was orphaned while
  // this worker lived, and it is the living worker that adopts its tree's orphans.
  return found.first_look >= to.ended_after_look;
}

bool worker_table::tree_is_gone(const tracked_worker& worker) const {
  // The look that proves it must have come after the worker's end.
  if (!worker.end || sweep_.looks() == worker.ended_after_look) return false;
  return std::none_of(sweep_.strays().begin(), sweep_.strays().end(), [&](const auto& entry) {
    return may_belong(entry.first, entry.second, worker);
  });
}

wire::gone worker_table::account_for(tracked_worker& worker, os::time_point now) const {
  wire::gone account{
      .worker = worker.id,
      .pid = worker.pid,
      .status = {},
      .cpu_time = worker.strays_cpu_time,
      .peak_memory = worker.strays_peak_memory,
      .memory_at_birth = worker.memory_at_birth,
      .processes_stopped = worker.strays_stopped,
      .oom_kills = worker.leaf ? worker.leaf.oom_kills() : -1,
      .unconfirmed = {},
      .confirm_latency = now - worker.ending_since.value_or(now),
  };
  if (worker.end) {
    account.status = worker.end->status;
    account.cpu_time += worker.end->cpu_time;
    account.peak_memory = std::max(account.peak_memory, worker.end->peak_memory);
    if (worker.end->status.signal == SIGKILL) ++account.processes_stopped;
  }
  if (birth_trouble trouble;
      worker.failure && ::read(worker.failure.get(), &trouble, sizeof trouble) == sizeof trouble) {
    account.birth = trouble.stage;
    account.birth_error = trouble.error;
  }
  name_survivors(worker, account);
  return account;
}

void worker_table::name_survivors(const tracked_worker& worker, wire::gone& account) const {
  if (tree_is_gone(worker)) return;
  // Should no look have succeeded, nobody can be named, but nobody is confirmed either.
  account.unconfirmed.reason = wire::survival::ending;
  account.unconfirmed.pid = worker.pid;
  std::uint32_t count = 0;
  for (const auto& [pid, found] : sweep_.strays()) {
    if (!may_belong(pid, found, worker)) continue;
    // The worker itself, if it is among them, says most.
    if (count++ != 0 && pid != worker.pid) continue;
    const auto left = explain_survivor(pid);
    account.unconfirmed.reason = left.reason;
    account.unconfirmed.pid = pid;
    account.unconfirmed.tracer = left.tracer;
  }
  account.unconfirmed.others = count == 0 ? 0 : count - 1;
}

void worker_table::remove_leaves() {
  // One stays while somebody in it is not dead yet; the next event tries again.
  std::erase_if(old_leaves_, [](cgroup_leaf& leaf) { return leaf.remove(); });
}

}  // namespace hardstop::guardian
