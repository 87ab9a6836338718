// The sleeping and waking of one lane, as seen by the client.
//
// A handle with shared ownership of the lane's mapping: it may be used after the client_lane is
// gone and after the worker is dead. All members are thread-safe and need no lock: they touch
// atomics only.
//
// The protocol, the same in both directions (a store and a load of the other's word, all seq_cst,
// so that at least one side sees the other's store; hence no lost wake-up):
//   to sleep:  say "I sleep" -> look for news once more -> wait on the bell's old value
//   to tell:   publish       -> is the other asleep?    -> bell + 1, wake
// The teller never clears the sleeper's flag.
//
// Trust: the bell, the sleeping flag and the CPU of the worker are written by the worker. They
// are hints: a lie costs the client a needless look or system call, and costs the liar its own
// wake-ups. Nothing here loops on them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "os/futex.hpp"
#include "wire/frame.hpp"

namespace hardstop::os {
class mapping;
}

namespace hardstop::wire {

struct lane_layout;

class lane_signals {
 public:
  lane_signals() = default;
  explicit lane_signals(std::shared_ptr<const os::mapping> memory);

  // Wakes the worker, if it sleeps. A system call: call it after the engine's lock is released, if
  // client_lane::ring_needed() said so.
  void ring() const;

  // Whether the worker has published something that nobody has read yet. May say so for a moment
  // after the last of it was read; never misses any.
  bool has_news() const;

  // The same for a thread that is awake and will look again before it sleeps: one cache line, in
  // which the report is. It does not notice that a report has been scribbled over.
  bool has_report() const;

  // Announces that a thread is about to sleep until has_news(). Then look at has_news(); if there
  // is none, wait on the returned word (os::wait_any over many lanes). Always followed by disarm().
  // Several threads may be armed as one listener at once: all are woken.
  os::awaited_word arm(listener) const;
  void disarm(listener) const;

  // From here on news is the attendant's: the worker leaves a sleeping resident alone. One
  // attendant at a time. After unattend() look at has_news() once more and read what is there: the
  // worker may have taken us to be awake.
  void attend() const;
  void unattend() const;

  // The CPU the worker was last seen on; -1: it sleeps or never said. Not worth spinning for if it
  // is our own.
  int worker_cpu() const;

  // Tells the worker on which CPU a client's thread spins for its results.
  void publish_cpu(int cpu) const;

 private:
  friend class client_lane;
  friend class client_results;

  lane_layout& lane() const;

  std::shared_ptr<const os::mapping> memory_;
};

}  // namespace hardstop::wire
