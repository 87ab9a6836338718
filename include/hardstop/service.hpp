// A long-running worker that shuts down in phases and can say what it left undone.
//
//   int main(int argc, char** argv) {
//     hardstop::init(argc, argv);
//     hardstop::queue jobs{"jobs.db"};
//     hardstop::service service{{.journal = "resizer.journal", .grace = 25s}};
//     service.job<&resize>("resize", {.timeout = 60s});
//     return service.run(jobs);
//   }
//
// It goes through five phases, one way:
//
//   setup     the pool starts, hooks prepare; then the service says that it is ready
//   accept    takes jobs from its source and runs them
//   drain     takes nothing more and finishes what was started
//   dispose   what was taken and not started goes where service_options::dispose says
//   shutdown  the pool and the journal are closed
//
// SIGTERM and SIGINT start the drain, in whatever code the process is: the handler only writes to a
// descriptor, and nothing is interrupted by an exception. A second one shortens the drain, a third
// ends it. SIGUSR1 writes what the service is doing to standard error. What outlives the drain is
// killed, with all its processes, and accounted for.
//
// The exit status tells what became of the jobs that were taken:
//
//   0    every one is finished, handed back, or in the journal to be recovered
//   75   a deadline cut some short, or kept some from being handed back; all are accounted for
//   70   something failed, and the journal or the log names what is not accounted for: never more
//        than workers + prefetch
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <hardstop/detail/message_job.hpp>
#include <hardstop/options.hpp>
#include <hardstop/source.hpp>

namespace hardstop {

enum class service_phase : std::uint8_t { setup, accept, drain, dispose, shutdown, over };

[[nodiscard]] std::string_view to_string(service_phase phase) noexcept;

/// What the process should exit with.
enum class exit_status : std::uint8_t {
  success = 0,
  failure = 70,    ///< EX_SOFTWARE: not all is accounted for, or the service itself failed
  cut_short = 75,  ///< EX_TEMPFAIL: a deadline was reached; every job is accounted for
};

/// What becomes of jobs that were taken and not started when the service stops.
enum class disposal : std::uint8_t {
  automatic,  ///< requeue if the source leases its jobs, else journal if there is one, else run
  requeue,   ///< handed back to the source, as soon as the drain begins; the attempt does not count
  journal,   ///< left in the journal, for `hardstop recover`
  raise,     ///< run() throws jobs_left, which has them
  run,       ///< they count as started: the drain runs them, too
  callback,  ///< service_hooks::dispose_job is called with each
};

/// How jobs of one name are run. What a source says of a job comes first.
struct service_job_options {
  std::optional<std::chrono::nanoseconds> timeout{};
  std::chrono::nanoseconds grace{0};  ///< between asking and killing
  std::uint64_t max_memory = 0;       ///< bytes, see job_options
};

/// Called in the thread that called run(), one after the other; an exception fails the service,
/// which then shuts down in good order and exits with 70. A hook that takes longer than its phase
/// may is left behind: the service goes on without it.
struct service_hooks {
  std::function<void()> setup{};
  std::function<void()> accept{};
  std::function<void()> drain{};
  std::function<void()> dispose{};
  std::function<void()> shutdown{};
  /// With disposal::callback; must be quick.
  std::function<void(const taken_job&)> dispose_job{};
};

enum class log_level : std::uint8_t { debug, info, warning, error };

/// One record of the service's log. The texts live only as long as the call that hands it out.
struct log_record {
  log_level level = log_level::info;
  std::chrono::system_clock::time_point when{};
  std::string_view text{};  ///< for people
  std::string_view event{};  ///< for machines, one word: "phase", "job_failed", "drain_progress", …
  /// Names and values that belong to it.
  std::vector<std::pair<std::string_view, std::string>> fields{};
};

struct service_options {
  /// Its `workers` is how many jobs run at a time.
  pool_options pool = pool_options();
  /// Jobs taken beyond those that run, so that a worker need not wait for the source. Unset: four
  /// for each worker.
  std::optional<std::size_t> prefetch{};
  /// Job number k + window is not taken while number k is open: after a crash, what is unfinished
  /// is among the last `window` taken. Zero: no such bound but workers + prefetch at a time.
  std::size_t window = 0;
  /// The journal's file: what was taken is in it before it starts, how it ended before the source
  /// is told. Empty: no journal.
  std::string journal{};
  /// Time from the first signal to the end of the process: what the platform allows, less a margin.
  /// Unset: what the environment variable HARDSTOP_GRACE says, in seconds; else 30 s.
  std::optional<std::chrono::nanoseconds> grace{};
  /// Parts of it. Unset: drain has what the others leave.
  std::optional<std::chrono::nanoseconds> drain_time{};
  std::chrono::nanoseconds dispose_time = std::chrono::seconds(2);
  std::chrono::nanoseconds shutdown_time = std::chrono::seconds(3);
  /// Time for the hook of setup and for the first worker.
  std::chrono::nanoseconds setup_time = std::chrono::seconds(60);
  /// What a second signal leaves of the drain.
  std::chrono::nanoseconds hurried_drain = std::chrono::seconds(3);
  disposal dispose = disposal::automatic;
  service_hooks hooks{};
  /// SIGTERM, SIGINT and SIGUSR1, as told above, while run() runs; the handlers there were are put
  /// back. False: stop() is the only way.
  bool handle_signals = true;
  /// If calls into a hook or the source have not returned when the grace is over, the process is
  /// ended with _exit() and the status that is true. False: run() waits for them.
  bool exit_if_stuck = false;
  /// Give each attempt a directory of its own as TMPDIR, which is removed when all its processes
  /// are gone.
  bool private_tmpdir = false;
  /// Unset: a line to standard error for each record of level info and above.
  std::function<void(const log_record&)> on_log{};
  /// How often the log tells of a drain that goes on.
  std::chrono::nanoseconds progress_interval = std::chrono::seconds(5);
  /// Shown in the log, in metrics and in the journal.
  std::string name = "service";
};

/// What a service has done and is doing.
struct service_stats {
  service_phase phase = service_phase::setup;
  bool ready = false;         ///< takes jobs, and can run them
  std::size_t waiting = 0;    ///< taken, not started
  std::size_t running = 0;    ///< started, not ended
  std::size_t unsettled = 0;  ///< ended, and the source does not know yet
  std::uint64_t taken = 0;
  std::uint64_t finished = 0;   ///< and acked
  std::uint64_t failed = 0;     ///< threw, timed out, died, took too much memory
  std::uint64_t killed = 0;     ///< by the end of the drain
  std::uint64_t cancelled = 0;  ///< because the source asked
  std::uint64_t returned = 0;   ///< handed back without having started
  std::uint64_t refused = 0;
  std::uint64_t journaled = 0;    ///< left in the journal
  std::uint64_t lost_leases = 0;  ///< given to somebody else meanwhile
  std::uint64_t source_errors = 0;
  std::chrono::nanoseconds oldest{0};  ///< for how long the oldest of the running has run
  std::optional<std::chrono::nanoseconds> drain_left{};
};

/// run() with disposal::raise: these were taken and not started.
class jobs_left : public error {
 public:
  explicit jobs_left(std::vector<taken_job> jobs);

  [[nodiscard]] const std::vector<taken_job>& jobs() const noexcept { return *jobs_; }

 private:
  std::shared_ptr<const std::vector<taken_job>> jobs_;
};

namespace serving {

class service_engine;

}  // namespace serving

/// One service; it runs once. Register jobs first, in one thread; afterwards any thread may call
/// stop(), stats(), ready() and metrics().
class service {
 public:
  /// Throws bad_options. Starts nothing.
  explicit service(service_options options = {});
  ~service();

  /// Messages of that name run that function, a captureless one whose parameters and their types
  /// can be read from JSON (nlohmann::json knows how). What it returns is dropped. Throws
  /// bad_options if the name is empty or taken.
  template <auto Function>
  void job(std::string name, const service_job_options& how = {}) {
    add(std::move(name), how, &detail::submit_message<Function>);
  }

  /// Runs jobs of the source until told to stop or until there are no more. Returns what the
  /// process should exit with. Throws bad_options, queue_failure (the journal), pool_broken and
  /// jobs_left; an exception means that nothing was taken, but for jobs_left.
  int run(source& from);

  /// Starts the drain; called again, shortens it, and then ends it. Does not wait. Any thread, but
  /// no signal handler: the service has its own.
  void stop() noexcept;

  [[nodiscard]] service_stats stats() const;

  /// Whether it takes jobs: for a readiness probe.
  [[nodiscard]] bool ready() const;

  /// All numbers, in the text format of Prometheus, version 0.0.4.
  [[nodiscard]] std::string metrics() const;

  /// What it is doing, for people: each job with its process and time, as SIGUSR1 shows it.
  [[nodiscard]] std::string describe() const;

 private:
  void add(std::string name, const service_job_options& how, detail::message_submitter submit);

  std::unique_ptr<serving::service_engine> engine_;
};

}  // namespace hardstop
