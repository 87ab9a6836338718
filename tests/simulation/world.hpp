// The model world: effects in, truth inside, the oracle at every door.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "simulation/dice.hpp"
#include "simulation/model.hpp"

namespace hardstop::simulation {

class world final : public schedule::effects {
 public:
  world(std::uint64_t seed, bool trace);
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  ~world() = default;

  // One whole history: faults, then calm, then the end of all pools. Throws violation.
  void run();

  std::size_t events() const { return events_; }

  // The last things that happened, if they were traced, and how things stand.
  const std::deque<std::string>& trace() const { return trace_; }

  std::string picture() const;

  // How often what happened.
  using counts = std::unordered_map<std::string_view, std::size_t>;

  const counts& tally() const { return tally_; }

  // --- effects (effects.cpp)
  schedule::lane_answer dispatch(schedule::worker&, schedule::job&) override;
  schedule::take_back_answer take_back(schedule::worker&, schedule::job&) override;
  std::optional<instant> claimed_at(schedule::worker&, schedule::job&, instant now) override;
  void ask(schedule::worker&, schedule::job&) override;
  void settle(schedule::worker&, ticket witness) override;
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

 private:
  struct settle_request {
    int worker = 0;
    ticket witness{};
  };

  // history.cpp: what happens next
  void draw_profile();
  void draw_pools();
  void step();
  void something_in_the_world();
  void something_by_the_client();
  void let_time_pass();
  void submit();
  void cancel_somebody();
  void cancel(job_record&, schedule::cancel_mode, duration grace);
  void exceed_memory();
  void pointless_event();
  void shut_down(model_pool&);
  void calm_down();
  void settle_everything();
  bool deliver_everything();
  void end_all_pools();

  // permits.cpp: who wants what, and whether he gets it rightly
  void draw_semaphores();
  model_claim& new_claim(job_record*);
  void want_something(model_claim&);
  void add_needs(job_record&);
  void something_with_guards();
  void report_about_permits(model_worker&);
  void read_about_permits(model_worker&, const published_result&);
  void return_all_guards();
  void follow_permits();
  void check_return(const model_claim&) const;
  void check_grant(const model_claim&) const;
  void check_nobody_is_forgotten() const;
  void check_all_came_back() const;

  // processes.cpp: what really happens
  void worker_step(model_worker&);
  void boot_step(model_worker&);
  void job_step(model_worker&);
  void claim_step(model_worker&);
  void publish(model_worker&);
  void scribble(model_worker&);
  void die(model_worker&, int signal, int exit_code);
  void guardian_step(model_pool&);
  void race(model_worker&);

  // owner.cpp: what is told of it
  void deliver_something(model_worker&);
  void deliver_ready(model_worker&);
  void deliver_results(model_worker&, std::size_t at_most);
  std::size_t read_lane(model_worker&, std::size_t at_most);
  void read_about_shields(model_worker&, const published_result&);
  void recycle(model_worker&);
  void deliver_death(model_worker&);
  void deliver_guardian_news(model_pool&);
  void deliver_settled(std::size_t which);
  void fire_timers();

  // oracle.cpp: whether that is right
  void check_begin(const model_worker&, const frame&) const;
  void check_kill(const model_worker&) const;
  void check_ending(const job_record&, const schedule::ending&) const;
  void check_honest_ending(const job_record&, const schedule::ending&) const;
  void check_deadlines() const;
  void check_after_event();
  void check_pool(const model_pool&) const;
  void check_order(const model_pool&) const;
  void check_capacity(const model_pool&) const;
  void check_hostages(const model_pool&) const;
  void check_stopped() const;
  void check_restored(const model_pool&) const;
  void check_the_end() const;

  // Every call of the scheduler goes through here.
  template <class Event>
  auto tell(const char* what, Event event) {
    ++events_;
    count(what);
    note(what);
    if constexpr (std::is_void_v<decltype(event())>) {
      event();
      check_after_event();
    } else {
      auto answer = event();
      check_after_event();
      return answer;
    }
  }

  void note(const char* what, std::int64_t who = -1, std::int64_t which = -1);
  instant event_time();
  model_worker* find_worker(int id);
  std::vector<model_worker*> all_workers();

  void count(const char* what) { ++tally_[what]; }

  counts tally_;
  dice dice_;
  bool tracing_;
  std::deque<std::string> trace_;
  profile odds_;
  bool faults_ = true;  // false: the calm after the storm
  schedule::scheduler scheduler_{*this};
  instant now_{};
  std::size_t events_ = 0;
  bool in_batch_ = false;  // between finished() and the event that closes the batch
  int last_worker_ = 0;
  std::vector<std::unique_ptr<model_pool>> pools_;
  std::deque<job_record> jobs_;
  std::vector<job_record*> outstanding_;
  std::vector<job_record*> ended_kept_;
  std::vector<settle_request> settle_requests_;
  std::vector<std::unique_ptr<schedule::semaphore>> semaphores_;
  std::deque<model_claim> claims_;
  std::vector<model_claim*> active_claims_;  // of those, not over
  std::uint64_t last_seen_fence_ = 0;
  std::uint64_t last_came_ = 0;
};

}  // namespace hardstop::simulation
