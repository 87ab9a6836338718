#include "guardian/tree_sweep.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "os/proc.hpp"
#include "os/signals.hpp"

namespace hardstop::guardian {
namespace {

// Visited between two returns of look(); each costs some 30 us.
constexpr std::size_t visits_per_look = 16;
// A walk that never comes to rest (a parent waiting in vfork, say) ends in killing all the same.
constexpr std::size_t most_walks = 50;

std::chrono::microseconds to_duration(const timeval& time) {
  return std::chrono::seconds{time.tv_sec} + std::chrono::microseconds{time.tv_usec};
}

bool contains(std::span<const pid_t> pids, pid_t pid) {
  return std::find(pids.begin(), pids.end(), pid) != pids.end();
}

// -1 would mean everybody, 0 our own group.
void kill_own_child(pid_t pid) {
  assert(pid > 1);
  if (pid > 1) ::kill(pid, SIGKILL);
}

bool at_rest(pid_t pid) {
  const auto stat = os::read_stat(pid);
  // In D it takes the signal before it returns to its program: a vfork parent whose child is
  // stopped would keep us waiting.
  return !stat || stat->stopped() || stat->dead() || stat->state == 'D';
}

}  // namespace

std::optional<corpse> reap_any() {
  int status = 0;
  rusage usage{};
  const pid_t pid = ::wait4(-1, &status, WNOHANG | __WALL, &usage);
  if (pid <= 0) return std::nullopt;
  return corpse{
      .pid = pid,
      .status = os::exit_status::from_wait_status(status),
      .cpu_time = to_duration(usage.ru_utime) + to_duration(usage.ru_stime),
      .peak_memory = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024,
  };
}

survivor explain_survivor(pid_t pid) {
  const auto status = os::read_status(pid);
  if (status && status->tracer != 0) {
    return {.reason = wire::survival::traced, .pid = pid, .tracer = status->tracer};
  }
  if (::kill(pid, 0) < 0 && errno == EPERM) {
    return {.reason = wire::survival::permission, .pid = pid};
  }
  // A process whose first thread has ended shows Z while another sleeps in the kernel.
  const auto states = os::read_thread_states(pid);
  const bool asleep = states && states->find('D') != std::string::npos;
  return {.reason = asleep ? wire::survival::uninterruptible : wire::survival::ending, .pid = pid};
}

void kill_root(pid_t pid) {
  assert(pid > 1);
  if (pid <= 1) return;
  // In this order: it must not see its children die, and start new ones.
  ::kill(pid, SIGKILL);
  ::kill(-pid, SIGKILL);
  // A worker adopts its tree's orphans, so those that left its group are mostly its children: let
  // them die while it does. Whom this misses the sweep finds, one death later.
  std::vector<pid_t> children;
  (void)os::append_children(pid, children);
  for (const pid_t child : children) {
    if (::getpgid(child) == pid) continue;
    const auto process = os::pidfd::open_child_of(child, pid);
    if (process) (void)process->send_signal(SIGKILL);
  }
}

void tree_sweep::begin() {
  last_news_ = os::now();
  if (!busy_since_) busy_since_ = last_news_;
}

os::time_point tree_sweep::look(std::span<const pid_t> spared) {
  ++looks_;
  if (!list_own_children()) return os::now() + limits_.patience;
  kill_strays(spared);
  if (strays_.empty()) {
    busy_since_.reset();
    walks_ = 0;
    return os::time_point::max();
  }
  if (!busy_since_) begin();
  const auto time = os::now();
  if (time - last_news_ >= limits_.weary_after) return time + limits_.weary_patience;
  const auto freeze_at = *busy_since_ + limits_.freeze_after;
  if (time < freeze_at) return freeze_at;
  freeze();
  return to_visit_.empty() ? time + limits_.patience : time;
}

os::result<void> tree_sweep::list_own_children() {
  if (!own_children_) {
    auto opened = os::own_children::open();
    if (!opened) return opened.error();
    own_children_ = std::move(*opened);
  }
  children_.clear();
  return own_children_->append(children_);
}

void tree_sweep::kill_strays(std::span<const pid_t> spared) {
  for (const pid_t child : children_) {
    if (contains(spared, child)) continue;
    const auto [known, is_new] = strays_.try_emplace(child);
    if (is_new) {
      known->second = {.session = ::getsid(child), .first_look = looks_};
      last_news_ = os::now();
    }
    kill_own_child(child);
  }
}

std::optional<tree_sweep::stray> tree_sweep::forget(pid_t reaped) {
  const auto found = strays_.find(reaped);
  if (found == strays_.end()) return std::nullopt;
  const stray known = found->second;
  strays_.erase(found);
  return known;
}

void tree_sweep::freeze() {
  if (walks_ == 0) {
    walks_ = 1;
    walk_ = walk::stopping;
    stopped_.clear();
    to_visit_.clear();
  }
  if (to_visit_.empty()) {
    restless_ = 0;
    for (const auto& [root, seen] : strays_)
      to_visit_.push_back(root);
  }
  for (std::size_t visit = 0; visit < visits_per_look && !to_visit_.empty(); ++visit) {
    const pid_t parent = to_visit_.back();
    to_visit_.pop_back();
    walk_from(parent);
  }
  if (to_visit_.empty()) end_of_walk();
}

void tree_sweep::walk_from(pid_t parent) {
  children_.clear();
  // One that cannot be read has ended: what it leaves becomes our child and is seen by the next
  // look.
  if (!os::append_children(parent, children_)) return;
  for (const pid_t child : children_) {
    if (walk_ == walk::stopping && stopped_.contains(child)) {
      if (!at_rest(child)) ++restless_;
      to_visit_.push_back(child);
      continue;
    }
    // Its parent may have reaped it and the pid may be anybody's by now.
    const auto process = os::pidfd::open_child_of(child, parent);
    if (!process) {
      ++restless_;
      continue;
    }
    to_visit_.push_back(child);
    (void)process->send_signal(walk_ == walk::stopping ? SIGSTOP : SIGKILL);
    if (walk_ == walk::stopping) {
      stopped_.insert(child);
      ++restless_;
    }
  }
}

void tree_sweep::end_of_walk() {
  if (walk_ == walk::killing) {
    walks_ = 0;  // what is left, if anything, is frozen anew
    return;
  }
  const bool nothing_new = restless_ == 0;
  ++walks_;
  if (nothing_new && stopped_.empty()) {
    walks_ = 0;  // only slow to die
  } else if (nothing_new || walks_ > most_walks) {
    walk_ = walk::killing;
  }
}

stopped_tree stop_tree(pid_t root, std::chrono::milliseconds limit) {
  stopped_tree outcome;
  const os::signals_blocked quiet;  // SIGCHLD is waited for below
  sigset_t child_ended;
  sigemptyset(&child_ended);
  sigaddset(&child_ended, SIGCHLD);

  tree_sweep sweep;
  sweep.begin();
  if (root != 0) kill_root(root);
  const auto deadline = os::now() + limit;
  for (;;) {
    while (const auto ended = reap_any()) {
      (void)sweep.forget(ended->pid);
      if (ended->pid == root) outcome.root = *ended;
      if (ended->status.signal == SIGKILL) ++outcome.processes_stopped;
      outcome.cpu_time += ended->cpu_time;
      outcome.peak_memory = std::max(outcome.peak_memory, ended->peak_memory);
    }
    const auto next = std::min(sweep.look({}), deadline);
    if (sweep.strays().empty()) return outcome;
    const auto time = os::now();
    if (time >= deadline) break;
    const auto pause = std::chrono::nanoseconds{std::max(next - time, os::duration::zero())};
    const timespec wait{.tv_sec = pause.count() / 1'000'000'000,
                        .tv_nsec = pause.count() % 1'000'000'000};
    ::sigtimedwait(&child_ended, nullptr, &wait);
  }
  for (const auto& [pid, seen] : sweep.strays()) {
    outcome.survivors.push_back(explain_survivor(pid));
  }
  return outcome;
}

}  // namespace hardstop::guardian
