// The engine: one per process, all pools are its members.
//
// It is the edge around the pure scheduler: a mutex, the scheduler, and two threads.
//   control   (control.cpp)   guardians' messages, pidfds, timers, kills. Runs no user code, so
//   that deadlines hold
//                             whatever the client does.
//   delivery  (delivery.cpp)  reads lanes, wakes waiters, runs continuations and event sinks: user
//   code runs here only.
// Submitting and cancelling happen in the caller's thread, and a thread that waits for a job reads
// lanes itself.
//
// Every entry is a `turn`: it takes the lock, hands an event to the scheduler, whose effects
// (actions.cpp) touch lanes and send messages at once but leave everything slow in the turn's
// outbox; when the turn ends the lock is released and the outbox is worked off: bells, waiters,
// births, unmapping. Nothing waits and nothing runs user code under the lock.
//
// Nothing of this survives a fork: a copy in a child process is never used again
// (os/same_process.hpp) and the child makes an engine of its own if it needs one. A SIGKILL of this
// process ends all pools through their guardians.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/control.hpp"
#include "engine/delivery.hpp"
#include "engine/job.hpp"
#include "engine/job_stock.hpp"
#include "engine/lane_watch.hpp"
#include "engine/permits.hpp"
#include "engine/pool.hpp"
#include "engine/worker.hpp"
#include "os/clock.hpp"
#include "os/pidfd.hpp"
#include "schedule/scheduler.hpp"
#include "wire/control.hpp"
#include "wire/job_request.hpp"
#include <hardstop/detail/engine.hpp>
#include <hardstop/event.hpp>
#include <hardstop/semaphore.hpp>

namespace hardstop::engine {

class engine;

using wanted_worker = std::pair<std::shared_ptr<pool>, wire::worker_id>;

using std::chrono::nanoseconds;

// What a turn leaves to be done when the lock is released.
struct outbox {
  std::vector<worker*> touched;          // lanes written to: some need a bell
  schedule::job* ended_first = nullptr;  // linked by next
  schedule::job* ended_last = nullptr;
  std::vector<std::pair<worker*, schedule::ticket>> to_settle;
  std::vector<std::shared_ptr<pool>> to_birth;
  std::vector<wanted_worker> to_spawn;
  std::vector<std::unique_ptr<worker>> graveyard;  // unmapping is slow
  std::vector<std::shared_ptr<pool>> closed;
  std::vector<std::shared_ptr<claim>> to_wake;   // granted, and somebody may sleep
  std::vector<detail::continuation*> to_resume;  // granted, where no delivery thread runs
  std::vector<std::unique_ptr<claim>> spent;     // freeing is for later

  [[nodiscard]] bool plain() const {
    return to_birth.empty() && to_spawn.empty() && graveyard.empty() && closed.empty() &&
           to_wake.empty() && to_resume.empty() && spent.empty();
  }
};

struct lanes_read {
  std::size_t reports = 0;
  // There were some, and many more come by the microsecond: better let them gather than wake, lock
  // and look for each (lane_watch::nap).
  bool gathering = false;
};

// Holds the lock for one event. Ends with finish() at the latest in its destructor.
class turn {
 public:
  explicit turn(engine& home);
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;

  ~turn() { finish(); }

  // Releases the lock and works off the outbox.
  void finish();

  [[nodiscard]] schedule::instant now() const { return now_; }

 private:
  friend class engine;

  engine& home_;
  std::unique_lock<std::mutex> lock_;
  schedule::instant now_;
};

class engine final : private schedule::effects {
 public:
  // This process's engine; made on first use, never destroyed.
  static engine& instance();
  // Null if this process has none yet.
  static engine* existing();

  // False in a forked child: nothing of this may be used there. Cheap.
  [[nodiscard]] bool is_of_this_process() const;

  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  // --- for job_handle and pool_handle (api.cpp), any thread

  std::shared_ptr<pool> open(const pool_options&, std::shared_ptr<worker_language>);
  job* submit(pool&, const detail::submission&);
  cancel_result cancel(job&, cancel_mode, std::optional<nanoseconds> grace);
  bool wait(job&, std::optional<os::time_point> until);
  job_state observe(job&);
  void listen(job&, detail::news_listener&);
  std::vector<std::byte> news_of(job&);
  int pid_of(job&);

  void give_back(job* which) noexcept { stock_.give_back(which); }

  static outcome::facts facts_of(const job&);
  void shut_down(pool&, const shutdown_options&);
  // Returns when nothing is left of the pool. Not in the delivery thread.
  void wait_closed(pool&) noexcept;
  pool_stats stats(pool&);
  detail::pool_roster roster(pool&, bool fill);
  [[nodiscard]] bool on_delivery_thread() const;
  const detail::pool_handle& shared_pool();

  // --- permits, for semaphore_handle and permit_hold (permits_api.cpp), any thread

  std::shared_ptr<detail::semaphore> open_semaphore(std::uint32_t permits, std::string_view name);
  // Null: there is none of that number.
  std::shared_ptr<detail::semaphore> find_semaphore(std::uint64_t id);
  // It is known to jobs from now on.
  void keep_semaphore(const std::shared_ptr<detail::semaphore>&);
  semaphore_stats stats(const detail::semaphore&);
  // Of all that somebody holds or waits for.
  std::vector<semaphore_stats> stats_of_busy_semaphores();
  // True: it is granted. False: it waits, or was not to.
  bool acquire(const std::shared_ptr<claim>&, schedule::patience);
  // False: it is granted already.
  bool on_granted(claim&, detail::continuation&);
  // Granted or not; true: its continuation will not run.
  bool give_back(const std::shared_ptr<claim>&, schedule::permit_return);

  // --- for the two threads and for those who wait

  // Reads what lanes hold, at most a batch from each.
  lanes_read read_lanes();

  // Brings the list up to date; false if it was.
  bool refresh(lane_list&);

  // Lets go of what waiting threads remember of workers that are gone. Delivery thread.
  void forget_old_lanes();

  // Asked by the delivery thread after each wake-up: true if there is no pool, and it must return.
  bool delivery_may_leave();

  // Makes a guardian for a pool, in this thread, and the workers that were wanted meanwhile.
  void give_birth(const std::shared_ptr<pool>&);
  void spawn_wanted(std::vector<wanted_worker>&&);
  // Acts on timers that are due; returns the next one.
  std::optional<schedule::instant> time_reached();
  // What was postponed may go on.
  void chores_due();
  // Looks at the memory of limited attempts; false if there are none.
  bool watch_memory();

  // What the control thread hears of guardians.
  void report_received(pool&, guardian_line&, os::seqpacket::received&, std::span<const std::byte>);
  void guardian_lost(pool&, guardian_line&);
  void guardian_gone(pool&, const std::shared_ptr<guardian_line>&);
  // The kernel has no room to watch it: its end is waited for here, and it is lost.
  void cannot_watch(pool&, const std::shared_ptr<guardian_line>&);
  // Sends what the socket had no room for; false if there still is none.
  bool send_unsent(guardian_line&);

 protected:
  ~engine() = default;

 private:
  friend class turn;

  engine();

  // --- effects (actions.cpp)
  schedule::lane_answer dispatch(schedule::worker&, schedule::job&) override;
  schedule::take_back_answer take_back(schedule::worker&, schedule::job&) override;
  std::optional<schedule::instant> claimed_at(schedule::worker&, schedule::job&,
                                              schedule::instant now) override;
  void ask(schedule::worker&, schedule::job&) override;
  void settle(schedule::worker&, schedule::ticket witness) override;
  void kill(schedule::worker&) override;
  void retire(schedule::worker&) override;
  schedule::worker& spawn(schedule::pool&) override;
  void discard(schedule::worker&) override;
  void complete(schedule::job&, schedule::ending) override;
  void granted(schedule::permit_claim&) override;
  void claim_over(schedule::permit_claim&) override;
  void claim_kept(schedule::permit_claim&, const schedule::death&) override;
  void birth(schedule::pool&) override;
  void dismiss(schedule::pool&) override;
  void closed(schedule::pool&) override;
  void announce(job&);
  void touch(worker&);
  static bool postpones_chores(const pool&, schedule::instant now);
  void resume_chores(schedule::instant now);
  static void make_room(pool&);

  // --- reading lanes (reading.cpp), under the lock
  std::size_t read_lane(worker&, schedule::instant now, std::size_t limit);
  bool read_report(worker&, const wire::lane_report&, schedule::instant now);
  void strike(worker& victim);
  bool ask_where_it_is(worker& victim, const job* front);
  void hear_last_words(schedule::instant now);
  [[nodiscard]] schedule::instant next_look_at_answers(schedule::instant now) const;
  void job_spoke(worker&, const wire::lane_report&);
  void worker_spoke(worker&, const wire::lane_report&, schedule::instant now);
  void worker_is_ready(worker&, schedule::instant now);
  void read_to_the_end(worker&, schedule::instant now);
  void corrupt(worker&, std::string_view reason, schedule::instant now);

  // --- what jobs ask (permits.cpp), under the lock
  void job_asked(worker&, const wire::lane_report&, schedule::instant now);
  void job_wants(worker&, job&, const wire::job_request&, schedule::patience,
                 schedule::instant now);
  void job_returns(job&, std::uint64_t request, schedule::instant now);
  static void job_asks_for_needs(worker&, job&, const wire::job_request&);
  void check_needs(const job_options&, std::string_view name) const;
  void add_needs(job&, const needs&);
  void report_deadlock(const claim& closing);
  static void wake_granted(std::vector<std::shared_ptr<claim>>);

  // --- how jobs end (ending.cpp), under the lock
  void take_result(job&);
  void describe_end(job&, const schedule::ending&);
  [[nodiscard]] outcome::alternatives alternative_of(const job&, const schedule::ending&) const;
  static void count_end(job&);

  // --- the ends of turns, without the lock but for the first
  void work_off(turn&);
  void work_off_slowly(outbox);
  void settle_ended(schedule::job* next);

  // --- guardians (guardians.cpp), under the lock
  void send(guardian_line&, const wire::request&,
            std::span<const os::descriptor* const> beside = {});
  static bool send_queued(guardian_line&);
  static void answered(guardian_line&);
  void on_spawned(pool&, const wire::spawned&, os::descriptor process, schedule::instant now);
  void on_spawn_failed(pool&, const wire::spawn_failed&, schedule::instant now);
  void on_gone(pool&, const wire::gone&, schedule::instant now);
  void report_gone(worker&, const schedule::death&, const wire::gone*, schedule::instant now);
  void tell_if_broken(pool&);
  void check_lines(schedule::instant now);
  [[nodiscard]] schedule::instant earliest_check() const;
  static worker* find(pool&, wire::worker_id);

  // --- the rest
  static bool sleep_until_done(const job&, std::optional<os::time_point> until);
  static void prepare(pool&);
  static void refuse_if_closed(const pool&);
  job* enter_job(pool&, const detail::submission&, std::unique_ptr<large_arguments>,
                 schedule::instant now);
  void enter_pool(const std::shared_ptr<pool>&);
  void leave_pool(const std::shared_ptr<pool>&);
  static void begin_watching_memory(worker&);
  void ask_for(worker&, worker_memory);
  void news(pool&, event_kind, int pid = 0, std::string text = {});

  const std::uint64_t generation_;

  std::mutex mutex_;
  schedule::scheduler scheduler_{*this};
  job_stock stock_;
  outbox outbox_;
  std::vector<std::shared_ptr<pool>> pools_;  // that were born and are not closed
  std::unordered_map<std::uint64_t, std::weak_ptr<detail::semaphore>> semaphores_;
  std::size_t semaphores_swept_ = 64;  // how many there were when the dead were last looked for
  std::unordered_map<std::uint64_t, std::shared_ptr<detail::semaphore>> travelled_;
  std::vector<std::unique_ptr<claim>> kept_claims_;  // of what could not be killed
  std::uint64_t last_semaphore_ = 0;
  std::uint64_t last_worker_ = 0;
  std::uint64_t last_pool_ = 0;
  schedule::instant armed_ = schedule::never;       // what the control thread waits for
  schedule::instant next_check_ = schedule::never;  // of guardians that owe an answer
  bool memory_watched_ = false;                     // a limited attempt was dispatched in this turn
  bool lanes_changed_ = false;
  bool chores_postponed_ = false;  // in some pool

  // What complete() may look at: the report being read, or the death being reported.
  struct {
    worker* at = nullptr;
    const wire::lane_report* report = nullptr;
    const wire::gone* gone = nullptr;
    std::unique_ptr<large_result> large;
    schedule::instant now{};
  } current_;

  std::atomic<std::uint64_t> lanes_version_{1};
  std::vector<worker*> asked_;         // will be killed when they have answered
  std::atomic<bool> attended_{false};  // a thread that waits for a job reads lanes, by attendance_
  lane_watch attendance_{*this, wire::listener::attendant};

  std::mutex lifecycle_;  // threads start and stop under it; taken before mutex_
  std::condition_variable lifecycle_changed_;
  std::size_t users_ = 0;
  // stopping: the delivery thread was asked to leave; stopped: it does, and is to be joined.
  enum class threads : std::uint8_t { none, running, stopping, stopped } threads_ = threads::none;
  std::mutex shared_pool_lock_;
  std::unique_ptr<detail::pool_handle> shared_pool_;
  control control_;
  delivery delivery_;
};

}  // namespace hardstop::engine
