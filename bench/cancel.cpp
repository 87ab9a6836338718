// From cancel() to the exception that says that the job's whole tree is gone; and to the next job
// that runs in its place.
//
// Before a job is cancelled the pool rests: all workers and the spare are ready. After get() has
// thrown, the processes of the job are looked up: one that is still there makes the cell fail.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <optional>

#include "cell.hpp"
#include "cells.hpp"
#include "child.hpp"
#include "os/pidfd.hpp"
#include "samples.hpp"
#include "shared_memory.hpp"
#include "two_workers.hpp"
#include "waiting.hpp"
#include <hardstop/pool.hpp>

namespace bench {

namespace {

constexpr std::size_t tree_size = 4;

struct board {
  std::array<std::atomic<pid_t>, tree_size> processes{};
  std::atomic<std::size_t> running{0};
  std::atomic<std::int64_t> next_began{0};
};

board* the_board = nullptr;

void begin_round() {
  the_board->running = 0;
  the_board->next_began = 0;
}

void sign_in(std::size_t place) {
  the_board->processes.at(place) = getpid();
  the_board->running.fetch_add(1);
}

[[noreturn]] void burn() {
  for (;;)
    asm volatile("" ::: "memory");
}

[[noreturn]] void burn_alone() {
  sign_in(0);
  burn();
}

[[noreturn]] void burn_with_children() {
  for (std::size_t place = 1; place < tree_size; ++place) {
    if (fork() != 0) continue;
    sign_in(place);
    for (;;)
      pause();
  }
  sign_in(0);
  burn();
}

void wait_running(std::size_t processes) {
  wait_until([=] { return the_board->running.load() == processes; }, "a job that runs");
}

void check_gone(std::size_t processes) {
  for (std::size_t place = 0; place < processes; ++place) {
    if (kill(the_board->processes.at(place), 0) == 0 || errno != ESRCH) {
      throw wrong("get() threw while a process of the job was still there");
    }
  }
}

template <auto Job>
figures cancel_to_gone(effort how_much, std::size_t processes) {
  const int rounds = times(how_much, 20, 250);
  the_board = &share<board>();
  hardstop::process_pool pool(two_workers());
  warm_up(pool);
  samples taken(static_cast<std::size_t>(rounds));
  for (int i = -5; i < rounds; ++i) {
    begin_round();
    auto job = pool.submit<Job>();
    wait_running(processes);
    settle(pool);
    const std::int64_t began = now_ns();
    job.cancel(hardstop::cancel_mode::kill);
    try {
      job.get();
      throw wrong("a job that never ends has ended");
    } catch (const hardstop::job_cancelled&) {
    }
    const std::int64_t gone = now_ns();
    check_gone(processes);
    if (i >= 0) taken.add(gone - began);
  }
  figures found;
  taken.tell(found);
  return found;
}

// What the kernel needs: the signal, the death, a readable pidfd; no confirmation of anything else.
template <class Job>
figures kill_to_readable(effort how_much, Job job, std::size_t processes) {
  const int rounds = times(how_much, 20, 250);
  the_board = &share<board>();
  samples taken(static_cast<std::size_t>(rounds));
  for (int i = -5; i < rounds; ++i) {
    begin_round();
    child victim([&] {
      setpgid(0, 0);
      job();
    });
    wait_running(processes);
    std::array<std::optional<hardstop::os::pidfd>, tree_size> others;
    for (std::size_t place = 1; place < processes; ++place) {
      auto opened = hardstop::os::pidfd::open(the_board->processes.at(place));
      if (!opened) throw wrong(opened.error().message());
      others.at(place) = std::move(*opened);
    }
    const std::int64_t began = now_ns();
    if (processes == 1) {
      victim.kill();
    } else {
      kill(-victim.pid(), SIGKILL);
    }
    victim.wait_gone();
    for (const auto& other : others) {
      if (other && !other->wait_ended(std::chrono::seconds(10))) throw wrong("a child lives on");
    }
    const std::int64_t gone = now_ns();
    victim.reap();
    if (i >= 0) taken.add(gone - began);
  }
  figures found;
  taken.tell(found);
  return found;
}

void stamp_begin() {
  the_board->next_began = now_ns();
}

[[noreturn]] void doze() {
  for (;;)
    pause();
}

}  // namespace

figures cancel_hardstop(effort how_much) {
  return cancel_to_gone<&burn_alone>(how_much, 1);
}

figures cancel_bare(effort how_much) {
  return kill_to_readable(how_much, burn_alone, 1);
}

figures cancel_tree_hardstop(effort how_much) {
  return cancel_to_gone<&burn_with_children>(how_much, tree_size);
}

figures cancel_tree_bare(effort how_much) {
  return kill_to_readable(how_much, burn_with_children, tree_size);
}

// Both workers are taken, one by a job that only waits; the next job stands in the queue when the
// other is cancelled.
figures next_job_hardstop(effort how_much) {
  const int rounds = times(how_much, 20, 200);
  the_board = &share<board>();
  hardstop::process_pool pool(two_workers());
  warm_up(pool);
  const auto waiting = pool.submit<&doze>();
  samples taken(static_cast<std::size_t>(rounds));
  for (int i = -5; i < rounds; ++i) {
    begin_round();
    const auto job = pool.submit<&burn_alone>();
    wait_running(1);
    auto next = pool.submit<&stamp_begin>();
    settle(pool);
    const std::int64_t began = now_ns();
    job.cancel(hardstop::cancel_mode::kill);
    next.get();
    if (i >= 0) taken.add(the_board->next_began - began);
    job.wait();
  }
  waiting.cancel(hardstop::cancel_mode::kill);
  figures found;
  taken.tell(found);
  return found;
}

// Without a pool: kill, do not wait for the corpse, fork the next one, which says hello.
figures next_job_fork(effort how_much) {
  const int rounds = times(how_much, 20, 200);
  the_board = &share<board>();
  samples taken(static_cast<std::size_t>(rounds));
  for (int i = -5; i < rounds; ++i) {
    begin_round();
    const child victim(burn_alone);
    wait_running(1);
    const std::int64_t began = now_ns();
    victim.kill();
    const child next(stamp_begin);
    wait_until([] { return the_board->next_began != 0; }, "the next child");
    if (i >= 0) taken.add(the_board->next_began - began);
  }
  figures found;
  taken.tell(found);
  return found;
}

}  // namespace bench
