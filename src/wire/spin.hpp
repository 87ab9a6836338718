// When to spin instead of sleeping: a wake-up costs microseconds, a spin a fraction of one, but a
// spin beside a busy neighbour costs a time slice.
//
// The rules that won everywhere: do not spin for a peer on the same CPU; the client does not spin
// if it had to ring; a worker keeps a score of hits and misses. Idle cost stays zero, since every
// spin is bounded and a missed one is followed by sleep.
#pragma once

#include <sched.h>

#include <algorithm>
#include <chrono>

namespace hardstop::wire {

inline void relax_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

// Some nanoseconds where the C library uses rseq.
inline int current_cpu() {
  return sched_getcpu();
}

// How long a spin may last: about what a sleep and a wake-up cost.
inline constexpr std::chrono::nanoseconds spin_budget = std::chrono::microseconds(30);

// Two sides that both sleep take so long for each other's wake-ups that neither would ever find a
// spin worthwhile again. So where news comes this often, one of them tries a long one now and then.
inline constexpr std::chrono::nanoseconds often = std::chrono::microseconds(200);
inline constexpr std::chrono::nanoseconds long_spin = std::chrono::microseconds(100);

// Whether spinning has paid lately. News within the budget is a hit, whether it was spun for or
// slept through, so that a score can recover. One thread.
class spin_score {
 public:
  bool worthwhile() const { return score_ > 0; }

  // How long to spin now; zero: not at all.
  std::chrono::nanoseconds budget() {
    if (worthwhile()) return spin_budget;
    return often_ && ++sleeps_ % sleeps_between_tries == 0 ? long_spin
                                                           : std::chrono::nanoseconds::zero();
  }

  void slept(std::chrono::nanoseconds time) {
    if (time < spin_budget) hit();
    often_ = time < often;
  }

  // A spin of that budget has paid.
  void paid(std::chrono::nanoseconds budget) {
    if (budget > spin_budget) score_ = 0;
    hit();
  }

  void hit() { score_ = std::min(score_ + 1, best); }

  void miss() { score_ = std::max(score_ - 2, worst); }

 private:
  static constexpr int best = 8;
  static constexpr int worst = -8;
  static constexpr unsigned sleeps_between_tries = 16;

  int score_ = best / 2;
  unsigned sleeps_ = 0;
  bool often_ = false;
};

// Spins until done() or the budget is over; tells whether it was done.
template <class Done>
bool spin_until(Done done, std::chrono::nanoseconds budget = spin_budget) {
  // The clock costs 20 ns and more: looked at every 32 rounds, and not before them.
  std::chrono::steady_clock::time_point end{};
  while (true) {
    for (int i = 0; i < 32; ++i) {
      if (done()) return true;
      relax_cpu();
    }
    const auto now = std::chrono::steady_clock::now();
    if (end == std::chrono::steady_clock::time_point{}) end = now + budget;
    if (now >= end) return done();
  }
}

}  // namespace hardstop::wire
