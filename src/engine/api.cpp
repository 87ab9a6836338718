// The boundary of the public templates (hardstop/detail/engine.hpp), carried over to the engine.
#include <algorithm>

#include "engine/cpp_workers.hpp"
#include "engine/engine.hpp"
#include "engine/scheduled.hpp"
#include "guardian/containment.hpp"
#include "os/cpu.hpp"
#include "os/module.hpp"
#include "os/same_process.hpp"
#include <hardstop/detail/engine.hpp>
#include <hardstop/errors.hpp>

namespace hardstop {

int usable_cpus() noexcept {
  return static_cast<int>(os::usable_cpus());
}

namespace detail {

namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw forked_child("this process was forked from the one that made " + what +
                     ", and has neither its engine nor its workers: make a pool of its own here");
}

engine::engine& home_of(const job& which) {
  if (!which.home->is_of_this_process()) refuse("job '" + std::string(which.name()) + "'");
  return *which.home;
}

engine::engine& home_of(const pool& which) {
  if (!which.home->is_of_this_process()) refuse("pool '" + which.name + "'");
  return *which.home;
}

// What was probed, in the public vocabulary.
containment_report describe(const guardian::containment_report& probed) {
  containment_report report;
  if (!probed.refusal.empty()) {
    report.kill = {kill_containment::none, probed.refusal, probed.refusal};
  } else if (probed.kill == wire::kill_containment::cgroup) {
    report.kill = {
        kill_containment::cgroup, "each worker has a cgroup leaf; cgroup.kill helps the sweep", {}};
  } else {
    report.kill = {kill_containment::sweep, "process group, subreaper and a walk of the tree",
                   probed.kill_advice};
  }
  if (probed.memory == wire::memory_containment::cgroup) {
    report.memory = {
        memory_containment::tree, "memory.max of each worker's cgroup limits the whole tree", {}};
  } else {
    report.memory = {memory_containment::worker,
                     "the worker process is watched every 10 ms; what it starts is not counted",
                     probed.memory_advice};
  }
  if (probed.oom == wire::oom_attribution::cgroup) {
    report.oom_attribution = {
        oom_attribution::exact, "memory.events of the worker's cgroup tells", {}};
  } else {
    report.oom_attribution = {oom_attribution::guess,
                              "a SIGKILL from outside is reported as possibly the OOM killer's",
                              probed.oom_advice};
  }
  return report;
}

bool ended(const pool& which) {
  return which.closed.load(std::memory_order_acquire) != 0;
}

}  // namespace

function_id identify(thunk function) {
  const auto place = os::locate(reinterpret_cast<const void*>(function));
  if (!place) {
    throw error(
        "this function lies in no program or library that the dynamic loader knows (made at run "
        "time?), and "
        "cannot be found again in another process: submit one that is compiled in");
  }
  return {place->module, place->offset};
}

// --- job_handle

void job_handle::retain(job* counted) noexcept {
  counted->retain();
}

void job_handle::release(job* counted) noexcept {
  if (!counted->release()) return;
  // In a forked child the copy is left as it is: its stock is nobody's.
  if (counted->home->is_of_this_process()) counted->home->give_back(counted);
}

job_state job_handle::state() const {
  return home_of(*job_).observe(*job_);
}

int job_handle::pid() const {
  return home_of(*job_).pid_of(*job_);
}

bool job_handle::wait_until(std::optional<std::chrono::steady_clock::time_point> until) const {
  return home_of(*job_).wait(*job_, until);
}

cancel_result job_handle::cancel(cancel_mode mode,
                                 std::optional<std::chrono::nanoseconds> grace) const {
  if (grace && *grace < std::chrono::nanoseconds::zero()) {
    throw bad_options("a grace of " + to_string(*grace) +
                      " is negative: give zero to kill at once");
  }
  return home_of(*job_).cancel(*job_, mode, grace);
}

outcome_kind job_handle::kind() const noexcept {
  return job_->kind;
}

hardstop::outcome job_handle::outcome() const {
  if (job_->extra() != nullptr && job_->extra()->ended) return *job_->extra()->ended;
  return {engine::engine::facts_of(*job_), outcome::value{}};
}

std::span<const std::byte> job_handle::payload() const noexcept {
  const engine::large_result* large = job_->large_out();
  return large != nullptr && large->has_payload() ? large->payload() : job_->bytes.view();
}

std::span<const std::byte> job_handle::segment(std::size_t index) const noexcept {
  const engine::large_result* large = job_->large_out();
  return large != nullptr ? large->segment(index) : std::span<const std::byte>{};
}

void job_handle::release_payload() const noexcept {
  if (job_->extra() != nullptr) job_->extra()->large_out.reset();
  job_->bytes.clear();
}

void job_handle::listen(news_listener& to) const {
  home_of(*job_).listen(*job_, to);
}

std::vector<std::byte> job_handle::news() const {
  return home_of(*job_).news_of(*job_);
}

void job_handle::on_done(continuation& then) const {
  home_of(*job_);
  if (!job_->add(then)) then.run();
}

// --- pool_handle

pool_handle::pool_handle(const pool_options& options)
    : pool_handle(options, engine::cpp_workers()) {}

pool_handle::pool_handle(const pool_options& options,
                         std::shared_ptr<engine::worker_language> language) {
  validate(options);
  pool_ = engine::engine::instance().open(options, std::move(language));
}

job_handle pool_handle::submit(const submission& what) const {
  validate(what.options);
  return job_handle(home_of(*pool_).submit(*pool_, what));
}

void pool_handle::shutdown(const shutdown_options& options) const {
  validate(options);
  engine::engine& home = home_of(*pool_);
  if (options.wait && home.on_delivery_thread() && !ended(*pool_)) {
    throw would_deadlock(
        "shutdown of pool '" + pool_->name +
        "' was asked to wait in a continuation or event sink, whose thread it needs: pass "
        "{.wait = false}, or shut down from another thread");
  }
  home.shut_down(*pool_, options);
  if (options.wait) home.wait_closed(*pool_);
}

bool pool_handle::wait_closed(std::chrono::steady_clock::time_point until) const {
  engine::engine& home = home_of(*pool_);
  while (!ended(*pool_)) {
    if (std::chrono::steady_clock::now() >= until) return false;
    os::futex_wait(pool_->closed, 0, os::futex_scope::process, until);
  }
  home.wait_closed(*pool_);
  return true;
}

pool_stats pool_handle::stats() const {
  return home_of(*pool_).stats(*pool_);
}

pool_roster pool_handle::roster(bool fill) const {
  return home_of(*pool_).roster(*pool_, fill);
}

containment_report pool_handle::containment() const {
  home_of(*pool_);
  return describe(guardian::probe_containment(pool_->options.cgroup));
}

void pool_handle::close() noexcept {
  if (!pool_) return;
  if (pool_->home->is_of_this_process()) {
    engine::engine& home = *pool_->home;
    home.shut_down(*pool_, {});
    if (!home.on_delivery_thread()) home.wait_closed(*pool_);
  }
  pool_.reset();
}

const pool_handle& shared_pool() {
  return engine::engine::instance().shared_pool();
}

}  // namespace detail
}  // namespace hardstop
