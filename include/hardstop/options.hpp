// What can be said about one job and about one pool.
//
// Everything here is plain data, written with designated initialisers:
//
//   pool.submit<&integrate>({.timeout = 5s, .grace = 500ms, .name = "deep"}, samples, 40);
//   hardstop::process_pool pool{{.workers = 4, .start = hardstop::start_method::forkserver}};
//
// Times are durations, sizes are bytes. Values that make no sense throw bad_options at the call
// that was given them; the message names the cure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <hardstop/event.hpp>
#include <hardstop/initializer.hpp>
#include <hardstop/needs.hpp>

namespace hardstop {

/// What happens to processes that a job started and that still run when the job has finished.
enum class leftovers : std::uint8_t {
  keep,  ///< they may stay until their worker ends (at the latest with the pool)
  kill,  ///< they are killed before the result is delivered; the worker is replaced
};

/// How one job is run. Trivially destructible and copied at submit: a name needs to live only until
/// submit returns.
struct job_options {
  /// Time allowed for one attempt, counted from the moment it starts, not while it waits in the
  /// queue. When it is over the process tree is killed: outcome timed_out. Unset: no limit.
  std::optional<std::chrono::nanoseconds> timeout{};
  /// Time between asking and killing when the job is cancelled. A job that finishes within it
  /// delivers its result. Zero: killed at once. A timeout has no grace of its own.
  std::chrono::nanoseconds grace{0};
  /// Higher first; first in, first out among equals.
  int priority = 0;
  /// Further attempts when the worker died by itself (crash, exit). Never after an exception, a
  /// timeout or a cancel. A job with retries may run more than once: make it idempotent.
  unsigned retries = 0;
  /// Bytes of memory an attempt may use, see pool_options::max_memory. Zero: the pool's limit.
  std::uint64_t max_memory = 0;
  /// What happens to processes the job leaves running when it finishes.
  hardstop::leftovers leftovers = hardstop::leftovers::keep;
  /// Shown in errors, events and statistics. Empty: the function's name.
  std::string_view name{};
  /// Permits without which it is not dispatched, and which each attempt holds from its dispatch to
  /// its end: {.needs = {db, {gpu, 2}}}. See semaphore.hpp.
  hardstop::needs needs{};
};

// g++ 12 destroys a temporary twice if it has a non-trivial member and is written as a braced list
// within a co_await expression.
static_assert(std::is_trivially_destructible_v<job_options>);

/// How workers come to be.
enum class start_method : std::uint8_t {
  /// Forked, at the first submit, from the client as it is then: workers inherit its state, and
  /// starting costs next to nothing. Other threads of the client do not exist in a worker, and
  /// locks they held stay locked there.
  fork,
  /// Forked from a fresh process that re-executed this program up to hardstop::init(), which must
  /// be the first call in main(). The right choice for clients with many threads or much memory.
  forkserver,
  /// Each worker re-executes this program up to hardstop::init(). Slowest, and shares nothing.
  spawn,
};

/// What submit() does when max_pending jobs already wait.
enum class when_full : std::uint8_t {
  block,   ///< wait for room. Not in a callback: there it throws queue_full instead of blocking.
  reject,  ///< throw queue_full
};

/// Where a standard stream of a worker goes.
enum class stdio : std::uint8_t {
  inherit,  ///< the client's own
  null,     ///< /dev/null
  /// Kept per attempt and told in the outcome (outcome::output()), its last 64 KiB. Output streams
  /// only.
  capture,
};

/// One resource limit of a worker, as setrlimit(2) takes it, e.g. {RLIMIT_CORE, 0, 0}.
struct resource_limit {
  int resource = 0;
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
};

/// What a worker process looks like to the job. Unset members stay as in the client.
struct worker_environment {
  /// Where standard input comes from. A worker that read the client's terminal would steal its
  /// keys.
  hardstop::stdio standard_input = hardstop::stdio::null;
  hardstop::stdio standard_output = hardstop::stdio::inherit;
  hardstop::stdio standard_error = hardstop::stdio::inherit;
  /// Whether workers begin with the client's environment variables or with none.
  bool inherit_variables = true;
  /// Variables to set; without a value: to unset.
  std::vector<std::pair<std::string, std::optional<std::string>>> variables{};
  /// Working directory; empty: the client's.
  std::string working_directory{};
  std::optional<unsigned> umask{};
  /// Added to the client's nice value, -20..19.
  std::optional<int> nice{};
  /// CPUs a worker may run on. Empty: the client's.
  std::vector<int> affinity{};
  std::vector<resource_limit> resource_limits{};
  /// Whether workers begin with an empty signal mask and default dispositions, or with the
  /// client's.
  bool reset_signals = true;
  /// Descriptors that jobs need. With fork, the client's other descriptors stay open as fork leaves
  /// them; with forkserver and spawn only these and the three standard streams are there, under the
  /// same numbers.
  std::vector<int> descriptors{};
};

/// How a pool is made. Copied by the pool.
struct pool_options {
  /// Attempts that may run at a time. Unset: the CPUs this process may use, by affinity and cgroup
  /// quota.
  std::optional<int> workers{};
  /// Workers kept when nothing has run for idle_timeout. Unset: all of them.
  std::optional<int> min_workers{};
  /// When a worker beyond min_workers is idle for this long it leaves. Unset: never.
  std::optional<std::chrono::nanoseconds> idle_timeout{};
  /// Warm workers beyond `workers` that take the place of a killed one at once.
  int spares = 1;
  start_method start = start_method::fork;
  /// A worker is replaced after so many jobs. Zero: never.
  std::uint64_t max_jobs_per_worker = 0;
  /// Bytes of memory an attempt may use, beyond what its worker had when it was born. Watched for
  /// the whole tree where the pool has a cgroup, else for the worker process; containment() tells
  /// which. Exceeding it kills the tree: outcome memory_limit. Zero: no limit.
  std::uint64_t max_memory = 0;
  /// Jobs that may wait in the queue, beyond those already handed to workers: the short ones of
  /// which a worker has several before it. Zero: no limit.
  std::size_t max_pending = 0;
  hardstop::when_full when_full = hardstop::when_full::block;
  /// Time in which a new worker must be ready, initializer included.
  std::chrono::nanoseconds start_timeout = std::chrono::seconds(60);
  /// Run once in every worker before its first job: hardstop::initialize_with<&fn>(args…). If it
  /// throws, the worker is replaced with growing delays; if no worker ever starts, the pool breaks.
  hardstop::initializer initializer{};
  /// Ask the kernel for huge pages in workers, which makes killing one with gigabytes of memory ten
  /// times faster. Costs memory in small workers.
  bool huge_pages = false;
  /// A cgroup v2 directory delegated to this user, below which each worker gets a leaf, for
  /// instance "/sys/fs/cgroup/user.slice/…/mine". Empty: containment without cgroups, which needs
  /// no rights.
  std::string cgroup{};
  worker_environment environment{};
  /// Told of what happens to workers and jobs, from the delivery thread; see event.hpp. Must be
  /// quick and must not throw; it must not wait for a future of any pool. Not called any more when
  /// the pool's destructor has returned, unless that ran in a callback itself.
  std::function<void(const event&)> on_event{};
  /// Shown in errors, events and process titles. Empty: "pool" and a number.
  std::string name{};
};

/// How a pool ends.
struct shutdown_options {
  /// Whether shutdown() returns only when every job has its outcome and every process is gone. The
  /// rest happens in the background otherwise, as long as this process lives.
  bool wait = true;
  /// Whether jobs that have not started are cancelled. Otherwise they still run.
  bool cancel_pending = false;
  /// After this, what still runs is killed (outcome: cancelled, by shutdown) and what has not
  /// started is cancelled. Unset: no limit. Zero: now.
  std::optional<std::chrono::nanoseconds> timeout{};
};

/// Throw bad_options, naming the member, its value and what to write instead. Called by submit()
/// and by the pool's constructor.
void validate(const job_options& options);
void validate(const pool_options& options);
void validate(const shutdown_options& options);

/// CPUs this process may use: its affinity mask, limited by the CPU quota of its cgroups; at
/// least 1. What pool_options::workers stands for when unset.
[[nodiscard]] int usable_cpus() noexcept;

}  // namespace hardstop
