// What a service does next: the phases, and each job from being taken to being settled. Pure: no
// clock, no thread, no file. Events go in, actions come out; a simulation drives it through random
// histories (tests/service/course_simulation_test.cpp).
//
// A job's way:
//
//   taken ──admit──► waiting ──start──► started ──ended──► settling ──settled──► gone
//     │                 │                                     ▲
//     └─────────────────┴── disposed of, cancelled, lost ─────┘
//
// `admit` is where the journal learns of it (G9: before it starts), `settle` where the journal
// learns its end and then the source. Without a journal the edge answers both at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <hardstop/outcome.hpp>
#include <hardstop/service.hpp>
#include <hardstop/source.hpp>

namespace hardstop::serving {

using instant = std::chrono::steady_clock::time_point;
using duration = std::chrono::nanoseconds;

// The k-th job that this run has taken, from 1.
enum class job_number : std::uint64_t {};

struct rules {
  std::size_t slots = 1;
  std::size_t prefetch = 1;
  std::size_t window = 0;  // 0: none
  duration setup_time{};
  duration drain_time{};
  duration dispose_time{};
  duration shutdown_time{};
  duration hurried_drain{};
  duration progress_interval{};
  disposal dispose = disposal::requeue;  // never automatic
  bool journals = false;
  bool source_leases = true;
  std::set<service_phase> hooks;  // phases that have one
};

// How an attempt ended, as far as a service cares.
struct attempt_end {
  outcome_kind kind = outcome_kind::value;
  bool refused = false;  // the message, by its function
  std::string text;      // for people; empty for a value
};

// What is to be told of a job that is through.
struct settlement {
  enum class verdict : std::uint8_t {
    ack,
    nack,
    lost,        // the source is told nothing: it is somebody else's by now, or takes nothing back
    journaled,   // left in the journal
    handed_over  // to the user's callback
  };
  verdict what = verdict::ack;
  nack_reason reason = nack_reason::returned;
  std::string text;
};

// --- what is to be done

struct run_hook {
  service_phase phase{};
};

struct take_jobs {
  std::size_t at_most = 1;
};

struct interrupt_take {};

struct admit_job {
  job_number job{};
};

struct start_job {
  job_number job{};
};

struct stop_job {
  job_number job{};
  std::optional<duration> grace;  // unset: the job's own
};

struct settle_job {
  job_number job{};
  settlement how;
  bool end_recorded = false;  // the journal has it from an earlier try
};

struct extend_leases {
  std::vector<job_number> jobs;
};

struct close_pool {
  duration within{};
};

// The phase has begun: for the log and for systemd.
struct enter_phase {
  service_phase phase{};
};

struct become_ready {};

struct say {
  log_level level = log_level::info;
  std::string event;
  std::string text;
  std::optional<job_number> job{};
};

struct finish {
  exit_status status{};
};

using action =
    std::variant<run_hook, take_jobs, interrupt_take, admit_job, start_job, stop_job, settle_job,
                 extend_leases, close_pool, enter_phase, become_ready, say, finish>;

struct job_state_of_service {
  enum class stage : std::uint8_t { admitting, waiting, started, settling };
  hardstop::receipt receipt;
  std::string name;
  duration grace{0};
  stage at = stage::admitting;
  instant started_at{};
  bool cancel_wanted = false;
  bool lease_lost = false;
  bool out_of_time = false;  // the drain's end is what stops it
  bool killed = false;
  settlement how;
  bool end_recorded = false;
  bool settle_sent = false;
  unsigned settle_tries = 0;
  instant settle_again{};
  std::optional<duration> lease;
};

// What the edge knows of a job that was taken.
struct taken {
  job_number number{};
  hardstop::receipt receipt;
  std::string name;
  duration grace{0};
  std::optional<duration> lease;  // how long it is ours
};

struct tallies {
  std::uint64_t taken = 0;
  std::uint64_t finished = 0;
  std::uint64_t failed = 0;
  std::uint64_t killed = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t returned = 0;
  std::uint64_t refused = 0;
  std::uint64_t journaled = 0;
  std::uint64_t lost_leases = 0;
  std::uint64_t source_errors = 0;
};

class course {
 public:
  using jobs = std::map<job_number, job_state_of_service>;

  explicit course(rules by) : rules_(std::move(by)) {}

  // --- what has happened

  void begin(instant now);
  // The hook of a phase, or, for setup, that and the pool's first worker.
  void hook_returned(service_phase phase, instant now);
  void hook_failed(service_phase phase, std::string text, instant now);
  void took(const std::vector<taken>& fresh, bool exhausted, instant now);
  void take_failed(const std::string& text, instant now);
  void admitted(job_number job, instant now);
  // It could not even be submitted: the message, or the pool.
  void not_begun(job_number job, attempt_end why, instant now);
  void ended(job_number job, attempt_end how, instant now);
  void end_recorded(job_number job);
  // `accepted`: false if the source said that the lease is not ours any more.
  void settled(job_number job, bool accepted, instant now);
  void settle_failed(job_number job, const std::string& text, instant now);
  void extended(const std::vector<job_number>& lost, instant now);
  void extend_failed(const std::string& text, instant now);
  void cancel(const receipt& which, instant now);
  void stop(instant now);
  // Nothing can be run, or recorded, any more.
  void broke_down(const std::string& text, instant now);
  void pool_closed(instant now);
  void tick(instant now);

  // --- what to do about it

  [[nodiscard]] std::vector<action> take_actions() { return std::exchange(actions_, {}); }

  // When tick() is due, if nothing happens before.
  [[nodiscard]] instant next_tick() const;

  // --- to look at

  [[nodiscard]] service_phase phase() const { return phase_; }

  [[nodiscard]] bool ready() const { return ready_; }

  [[nodiscard]] const jobs& open() const { return jobs_; }

  [[nodiscard]] const tallies& counted() const { return counted_; }

  [[nodiscard]] std::optional<instant> drain_ends() const { return drain_ends_; }

  [[nodiscard]] std::size_t started() const { return started_; }

  [[nodiscard]] std::size_t waiting() const { return waiting_; }

 private:
  using stage = job_state_of_service::stage;

  void act(action what) { actions_.push_back(std::move(what)); }

  // --- phases (course.cpp)
  void enter(service_phase next, instant now);
  void advance(instant now);
  // Whether the phase is over: then the next one was entered.
  bool leave_setup(instant now);
  bool leave_accept(instant now);
  bool leave_drain(instant now);
  bool leave_dispose(instant now);
  bool leave_shutdown(instant now);

  [[nodiscard]] bool is_late(instant now) const { return phase_ends_ && now >= *phase_ends_; }

  void begin_drain(instant now);
  void end_drain(instant now);
  void fail(const std::string& text, instant now);
  void give_up_unsettled();
  void tell_progress(instant now);
  [[nodiscard]] exit_status status() const;
  [[nodiscard]] bool hook_is_back() const;

  // --- jobs (course_jobs.cpp)
  void take_more(instant now);
  void start_waiting(instant now);
  void dispose_of_waiting();
  void dispose_of(job_number job, job_state_of_service& it);
  void settle(job_number job, job_state_of_service& it, settlement how);
  void count(const settlement& how, const job_state_of_service& it);
  void leave_stage(const job_state_of_service& it);
  void stop_at_drains_end(instant now);
  void retry_settling(instant now);
  void extend_when_due(instant now);
  [[nodiscard]] settlement verdict_on(const job_state_of_service& it, const attempt_end& how) const;
  [[nodiscard]] std::size_t room() const;
  jobs::iterator at_stage(job_number job, stage expected);

  rules rules_;
  std::vector<action> actions_;
  service_phase phase_ = service_phase::setup;
  bool begun_ = false;
  bool ready_ = false;
  std::set<service_phase> hooks_out_;  // called and not back
  unsigned stops_ = 0;
  std::optional<instant> phase_ends_;  // of setup, dispose and shutdown
  std::optional<instant> drain_ends_;  // once somebody said stop
  instant all_ends_ = instant::max();  // likewise: the grace
  bool failed_ = false;
  bool cut_short_ = false;
  bool pool_closed_ = false;
  instant next_progress_ = instant::max();

  jobs jobs_;
  std::size_t started_ = 0;
  std::size_t waiting_ = 0;  // admitting or waiting
  std::uint64_t last_taken_ = 0;
  bool taking_ = false;
  bool exhausted_ = false;
  unsigned take_failures_ = 0;
  instant take_again_ = instant::min();
  std::optional<duration> lease_;  // the shortest seen
  instant extend_at_ = instant::max();
  bool extending_ = false;
  tallies counted_;
};

}  // namespace hardstop::serving
