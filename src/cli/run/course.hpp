// What happens next in a run: decided here, without a clock, a process or a descriptor.
//
//   running ──timeout, stop signal──▶ (asked) ──command ends──▶ emptying ──▶ sweeping ──▶ over
//      │                                 └──────grace is over──────────────────▲
//      └──command ends by itself, memory limit, second signal, front lost──────┘
//
// The supervisor tells what it sees, sends what signal it is answered with (to the command's
// group; 0: none) and sweeps while the phase says so.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>

#include "cli/run/plan.hpp"
#include "os/clock.hpp"

namespace hardstop::cli {

enum class run_phase : std::uint8_t {
  running,   // the command is there
  emptying,  // it has ended after it was asked to: others that were asked still have their grace
  sweeping,  // whatever there is, is killed
  over,
};

// Why hardstop stopped a run.
enum class stop_cause : std::uint8_t {
  none,          // it did not: the command ended of its own accord
  timeout,       // it ran too long
  memory_limit,  // the tree used too much
  stop_signal,   // a second SIGTERM or SIGINT, or one and then the grace
  front_lost,    // the process that the user started is gone
};

class run_course {
 public:
  struct rules {
    std::optional<os::duration> timeout{};
    os::duration grace = default_grace;
    std::optional<os::duration> grace_after_term{};  // a SIGTERM passed on is an ask with a limit
    int ask_with = SIGTERM;
    leftovers rest = leftovers::kill;
    os::duration sweep_limit = std::chrono::seconds{5};  // what is left then is not confirmed
  };

  [[nodiscard]] static rules rules_of(const run_plan& plan);

  run_course(const rules& chosen, os::time_point begin);

  [[nodiscard]] run_phase phase() const { return phase_; }

  [[nodiscard]] stop_cause cause() const { return cause_; }

  // When to call time_is() at the latest.
  [[nodiscard]] os::time_point next() const;

  [[nodiscard]] int time_is(os::time_point time);
  [[nodiscard]] int signalled(int signal, os::time_point time);
  void command_ended(os::time_point time);
  void group_empty(os::time_point time);  // in emptying: nobody is left who was asked
  void memory_exceeded(os::time_point time);
  void front_lost(os::time_point time);
  void nothing_left();  // in sweeping

 private:
  void sweep(stop_cause because, os::time_point time);

  rules rules_;
  run_phase phase_ = run_phase::running;
  stop_cause cause_ = stop_cause::none;
  stop_cause asked_because_ = stop_cause::none;

  static constexpr os::time_point never = os::time_point::max();
  os::time_point timeout_at_ = never;
  os::time_point kill_at_ = never;        // however many still run
  os::time_point patient_until_ = never;  // emptying ends; never: nobody was asked to stop
  os::time_point give_up_at_ = never;     // sweeping ends
  int stop_signals_ = 0;
};

}  // namespace hardstop::cli
