// The edge of a service: threads, files and clocks around the course.
//
// Threads, so that nothing that may block holds up the one that decides:
//
//   the caller of run()  hooks, the callback that disposes of jobs
//   core                 the course: signals, deadlines, kills; runs no code of the user's
//   taker                source::take()
//   settler              source::extend(), ack(), nack()
//   recorder             the journal: as many changes as have come, in one commit
//   starter              runner::start() and close(): in Python these take the GIL
//   clerk                the log, and removing what attempts left in their directories
//
// A job's record (held_job) is made by the core when the job was taken and ends when the course has
// let go of it, which is after every other thread was done with it: each step is posted by the one
// before. So those threads may be given pointers to what does not change.
//
// What survives a SIGKILL: the journal, the source's leases, and nothing else; the pool's processes
// end by themselves (G5), and directories of attempts are removed by the next run.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "os/descriptor.hpp"
#include "service/attempt_directories.hpp"
#include "service/course.hpp"
#include "service/inbox_thread.hpp"
#include "service/journal_store.hpp"
#include "service/runner.hpp"
#include "service/signals.hpp"
#include "service/systemd.hpp"

namespace hardstop::serving {

// The options as they are meant: nothing unset. Throws bad_options.
[[nodiscard]] rules rules_from(const service_options& options, const source& from);

// A record of the log that owns its texts.
struct log_entry {
  log_level level = log_level::info;
  std::chrono::system_clock::time_point when{};
  std::string text;
  std::string event;
  std::vector<std::pair<std::string, std::string>> fields;
};

// Where the log goes that nobody wants: a line to standard error, from level info on.
void write_to_standard_error(const log_record& record);

class service_engine {
 public:
  service_engine(service_options options, std::unique_ptr<runner> run_with);
  service_engine(const service_engine&) = delete;
  service_engine& operator=(const service_engine&) = delete;
  ~service_engine();

  // Once. `signals`: borrowed; null: none are watched.
  int run(source& from, signal_watch* signals);

  [[nodiscard]] const service_options& options() const noexcept { return options_; }

  [[nodiscard]] runner& jobs() noexcept { return *runner_; }

  // --- any thread

  void stop() noexcept;
  [[nodiscard]] service_stats stats() const;
  [[nodiscard]] std::string metrics() const;
  [[nodiscard]] std::string describe() const;

 private:
  using event = std::function<void(course&, instant)>;

  // What an attempt has left, and nobody needs.
  struct abandoned_directory {
    std::string path;
  };

  using clerk_order = std::variant<log_entry, abandoned_directory>;

  // Posts the end of a job.
  class end_watch final : public detail::continuation {
   public:
    end_watch(service_engine& to, job_number job) : to_(to), job_(job) {}

    void run() noexcept override;

   private:
    service_engine& to_;
    job_number job_;
  };

  struct held_job {
    taken_job what;
    std::string tmpdir;
    std::size_t cell = 0;  // of the journal, while it is in hand
    std::optional<std::chrono::system_clock::time_point> started_at;
    detail::job_handle handle;
    std::unique_ptr<end_watch> watch;
    std::optional<stop_job> stop_when_begun;
  };

  // What becomes of a job once the journal has a change.
  enum class next_step : std::uint8_t { admit, settle, nothing };

  struct record_order {
    journal_change change;
    next_step then = next_step::nothing;
    held_job* held = nullptr;
  };

  struct settle_order {
    job_number job{};
    hardstop::receipt receipt;
    settlement how;
  };

  struct extend_order {
    std::vector<std::pair<job_number, hardstop::receipt>> jobs;
  };

  using source_order = std::variant<settle_order, extend_order>;

  struct start_order {
    job_number job{};
    held_job* held = nullptr;
  };

  // What came of it.
  struct start_result {
    detail::job_handle handle;
    std::string tmpdir;
    std::optional<attempt_end> failure;
  };

  struct close_order {
    duration within{};
  };

  using runner_order = std::variant<start_order, close_order>;

  // --- the caller's thread (engine.cpp)
  void host_until_over();
  void set_up();
  void call_hook(service_phase phase);
  void in_host(std::function<void()> what);
  void end_journal();

  // --- core (engine.cpp, engine_actions.cpp)
  void run_core();
  void handle_events();
  void hear_signals();
  void sleep_until(instant when);
  void post(event what) noexcept;
  void perform_all();
  void perform(run_hook what);
  void perform(take_jobs what);
  void perform(interrupt_take what);
  void perform(admit_job what);
  void perform(start_job what);
  void perform(const stop_job& what);
  void perform(settle_job what);
  void perform(extend_leases what);
  void perform(close_pool what);
  void perform(enter_phase what);
  void perform(become_ready what);
  void perform(say what);
  void perform(finish what);
  void leave_if_stuck();
  void end_of(job_number job);
  void begun(job_number job, start_result what);
  void forget_settled();
  void log(log_level level, std::string_view topic, std::string text,
           std::vector<std::pair<std::string, std::string>> fields = {});
  [[nodiscard]] std::string describe_locked() const;
  [[nodiscard]] service_stats stats_locked(instant now) const;

  // --- other threads (engine_threads.cpp)
  void do_clerks_work(const clerk_order& order) const;
  void take(std::size_t at_most);
  void record(std::vector<record_order>& orders);
  void write_to_journal(std::vector<journal_change> changes);
  void proceed(record_order& order);
  start_result try_to_start(job_number job, const held_job& held);
  void settle(std::vector<source_order>& orders);
  void settle_some(const std::vector<settle_order*>& acks, const std::vector<settle_order*>& nacks);
  void extend(const extend_order& order);
  void obey(runner_order& order);

  service_options options_;
  std::unique_ptr<runner> runner_;
  source* source_ = nullptr;
  signal_watch* signals_ = nullptr;
  std::optional<systemd> systemd_;
  std::optional<journal_store> journal_;
  std::optional<attempt_directories> directories_;
  std::atomic<bool> journal_broken_ = false;
  std::vector<journal_change> unwritten_;  // of the recorder: what can wait for others

  // Course and jobs: the core changes them, others look.
  mutable std::mutex course_mutex_;
  std::optional<course> course_;
  std::map<job_number, held_job> held_;
  std::vector<taken_job> raised_;  // to be thrown by run()
  std::uint64_t last_number_ = 0;
  std::set<std::size_t> free_cells_;
  instant next_watchdog_ = instant::max();

  // What the core is told.
  std::mutex events_mutex_;
  std::vector<event> events_;
  os::descriptor wake_;

  // What the caller's thread is told.
  std::mutex host_mutex_;
  std::condition_variable host_changed_;
  std::deque<std::function<void()>> host_orders_;
  bool host_busy_ = false;
  bool over_ = false;
  exit_status status_ = exit_status::failure;
  bool ran_ = false;
  std::atomic<unsigned> early_stops_ = 0;

  std::optional<inbox_thread<clerk_order>> clerk_;
  std::optional<inbox_thread<std::size_t>> taker_;
  std::optional<inbox_thread<source_order>> settler_;
  std::optional<inbox_thread<record_order>> recorder_;
  std::optional<inbox_thread<runner_order>> starter_;
  std::optional<std::thread> core_;
};

}  // namespace hardstop::serving
