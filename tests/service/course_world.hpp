// A world for the course of a service: hooks, a source, a journal and a pool that answer late,
// wrongly or never, and an oracle that looks at every action.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "service/course.hpp"
#include "simulation/dice.hpp"

namespace hardstop::serving {

class broken_promise : public std::logic_error {
  using std::logic_error::logic_error;
};

class course_world {
 public:
  explicit course_world(std::uint64_t seed);

  // Until the service is over. Throws broken_promise.
  void run();

  [[nodiscard]] exit_status status() const { return *status_; }

  [[nodiscard]] std::uint64_t events() const { return events_; }

  [[nodiscard]] const std::vector<std::string>& trace() const { return trace_; }

 private:
  // How things go in this history.
  struct weather {
    double hook_fails = 0;
    double hook_hangs = 0;
    double take_fails = 0;
    double take_hangs = 0;
    double settle_fails = 0;
    double settle_hangs = 0;
    double refused_ack = 0;
    double lease_lost = 0;
    double unkillable = 0;
    double pool_hangs = 0;
    double journal_breaks = 0;
    double pool_breaks = 0;
    double cancels = 0;
    bool grants_leases = true;
  };

  // What the oracle knows of a job.
  struct known_job {
    bool admitted = false;
    bool started = false;
    bool ended = false;
    bool ended_well = false;
    bool was_stopped = false;  // and did not end by itself before that
    bool stop_sent = false;
    bool settling = false;
    bool settled = false;
    bool in_journal = false;   // its taking
    bool end_written = false;  // its end
    bool lost = false;         // its lease
    bool cancelled = false;
    bool killed_by_drain = false;
    duration grace{0};
  };

  struct later {
    instant when;
    std::uint64_t order;
    std::function<void()> what;

    bool operator<(const later& other) const {
      return std::pair(other.when, other.order) < std::pair(when, order);
    }
  };

  void after(duration delay, std::function<void()> what);
  void soon(std::function<void()> what);
  void stop();
  void obey();
  void check_finish(exit_status status);
  void note(const std::string& text);
  void require(bool fine, const std::string& promise) const;
  std::size_t open() const;

  void on(const run_hook& what);
  void on(const take_jobs& what);
  void on(const interrupt_take& what);
  void on(const admit_job& what);
  void on(const start_job& what);
  void on(const stop_job& what);
  void on(const settle_job& what);
  void on(const extend_leases& what);
  void on(const close_pool& what);
  void on(const enter_phase& what);
  void on(const become_ready& what);
  void on(const say& what);
  void on(const finish& what);
  void end(job_number job, outcome_kind how);

  simulation::dice dice_;
  weather weather_;
  rules rules_;
  course course_;
  instant now_{std::chrono::hours(1)};
  std::priority_queue<later> pending_;
  std::uint64_t order_ = 0;
  std::uint64_t events_ = 0;
  std::map<job_number, known_job> jobs_;
  std::uint64_t last_number_ = 0;
  std::uint64_t supply_ = 0;  // jobs that the source has left; 0: exhausted
  bool taking_ = false;
  bool take_hangs_ = false;
  std::size_t take_size_ = 0;
  bool ready_ = false;
  bool broken_ = false;  // journal or pool
  bool hook_failed_ = false;
  bool hook_late_ = false;
  bool came_too_late_ = false;
  service_phase phase_ = service_phase::setup;
  std::optional<instant> first_stop_;
  std::optional<exit_status> status_;
  std::vector<std::string> trace_;
};

}  // namespace hardstop::serving
