// What a guardian answers to its client, and what it keeps from harm.
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "guardian/test_pool.hpp"
#include "os/proc.hpp"
#include "support/sanitized.hpp"
#include "support/survivors.hpp"

namespace hardstop::test {
namespace {

using guardian::start_method;
using testing::IsEmpty;

std::vector<pid_t> members(test_pool& pool) {
  return {pool.link().warden.pid(), pool.link().guardian.pid()};
}

TEST(guardian, reports_an_exit_and_stops_what_was_left_behind_G2) {
  const marker mark;
  test_pool pool;
  const auto worker = pool.spawn("exits_with_children");
  const auto account = pool.gone(worker);
  EXPECT_THAT(mark.survivors(members(pool)), IsEmpty());
  EXPECT_EQ(account.status, (os::exit_status{.code = 3}));
  EXPECT_EQ(account.processes_stopped, 3U);
}

TEST(guardian, reports_the_signal_that_ended_a_worker) {
  test_pool pool;
  EXPECT_EQ(pool.gone(pool.spawn("aborts")).status.signal, SIGABRT);
}

TEST(guardian, reports_peak_memory_beside_what_a_fork_inherits) {
  test_pool pool;
  const auto account = pool.kill_and_wait(pool.spawn("uses_memory"));
  EXPECT_GT(account.memory_at_birth, 0U);
  EXPECT_GE(account.peak_memory - account.memory_at_birth, 60U << 20U);
  EXPECT_LT(account.peak_memory - account.memory_at_birth, (sanitized ? 400U : 100U) << 20U);
}

TEST(guardian, counts_the_cpu_time_of_the_whole_tree) {
  test_pool pool;
  const auto worker = pool.spawn("busy_loop");
  // Its own clock tells when it has used some, however busy the machine is.
  while (true) {
    std::ifstream stat{"/proc/" + std::to_string(worker.pid) + "/stat"};
    std::string text{std::istreambuf_iterator<char>{stat}, {}};
    std::istringstream fields{text.substr(text.rfind(')') + 1)};
    std::string skip;
    for (int field = 3; field < 14; ++field)
      fields >> skip;
    long ticks = 0;
    fields >> ticks;
    if (ticks >= 2) break;
    std::this_thread::yield();
  }
  EXPECT_GE(pool.kill_and_wait(worker).cpu_time, std::chrono::milliseconds{10});
}

TEST(guardian, kills_that_worker_and_no_neighbour_G3_G4) {
  const marker mark;
  test_pool pool;
  const auto neighbour = pool.spawn("keeps_house");
  const auto before = mark.survivors(members(pool)).size();
  constexpr int rounds = sanitized ? 20 : 200;
  for (int round = 0; round < rounds; ++round) {
    const auto account = pool.kill_and_wait(pool.spawn(round % 2 == 0 ? "daemon" : "orphans"));
    ASSERT_EQ(account.unconfirmed.reason, wire::survival::none);
  }
  EXPECT_FALSE(neighbour.handle.ended());
  EXPECT_EQ(mark.survivors(members(pool)).size(), before);
  // Nine, but for those whose own dying parents were quicker to reap them.
  EXPECT_GE(pool.kill_and_wait(neighbour).processes_stopped, 5U);
}

TEST(guardian, sweeps_many_trees_at_once_G2) {
  const marker mark;
  test_pool pool;
  std::vector<test_worker> workers;
  for (const auto* name : {"daemon", "fork_bomb", "setsid_grandchild", "orphans", "idle",
                           "leaves_vfork_parent", "daemon", "shell_pipeline"}) {
    workers.push_back(pool.spawn(name));
  }
  for (const auto& worker : workers)
    pool.kill(worker);
  for (const auto& worker : workers) {
    EXPECT_EQ(pool.gone(worker).unconfirmed.reason, wire::survival::none);
  }
  EXPECT_THAT(mark.survivors(members(pool)), IsEmpty());
}

TEST(guardian, answers_during_a_long_sweep) {
  test_pool pool;
  const auto bomb = pool.spawn("hopping_bomb");
  pool.kill(bomb);
  pool.send(wire::ping{.number = 5});
  bool answered = false;
  bool ended = false;
  while (!answered || !ended) {
    const auto message = pool.next();
    ASSERT_TRUE(message);
    answered |= std::holds_alternative<wire::pong>(*message);
    ended |= std::holds_alternative<wire::gone>(*message);
  }
}

TEST(guardian, ignores_a_kill_of_a_worker_it_does_not_know_G3) {
  test_pool pool;
  const auto worker = pool.spawn("idle");
  pool.send(wire::kill{.worker = static_cast<wire::worker_id>(999)});
  EXPECT_TRUE(pool.answers_ping());
  EXPECT_FALSE(worker.handle.ended());
}

TEST(guardian, refuses_a_worker_id_in_use_and_a_spawn_without_descriptors) {
  test_pool pool;
  const auto worker = pool.spawn("idle");
  test_worker twin;
  pool.order("idle", worker.id, twin);
  auto message = pool.next();
  ASSERT_TRUE(message && std::holds_alternative<wire::spawn_failed>(*message));
  EXPECT_EQ(std::get<wire::spawn_failed>(*message).error, EEXIST);

  pool.send(wire::spawn{.worker = static_cast<wire::worker_id>(5)});
  message = pool.next();
  ASSERT_TRUE(message && std::holds_alternative<wire::spawn_failed>(*message));
  EXPECT_EQ(std::get<wire::spawn_failed>(*message).error, EBADMSG);
}

TEST(guardian, ends_everything_when_it_is_sent_garbage_G5) {
  const marker mark;
  test_pool pool;
  const auto worker = pool.spawn("daemon");
  (void)pool.link().control.send(std::as_bytes(std::span{"garbage"}));
  EXPECT_TRUE(pool.both_end());
  EXPECT_THAT(mark.survivors(), IsEmpty());
}

TEST(guardian, gives_workers_a_clean_state) {
  for (const auto start : {start_method::fork, start_method::forkserver, start_method::spawn}) {
    test_pool pool{start};
    EXPECT_EQ(pool.gone(pool.spawn_unready("tells_state")).status.code, 3);
  }
}

TEST(guardian, tells_workers_the_right_cpu) {
  // A fork out of a process that shares its parent's memory loses its rseq area.
  test_pool pool;
  EXPECT_EQ(pool.gone(pool.spawn("tells_cpus")).status.code, 3);
}

std::multiset<std::string> open_files(pid_t pid) {
  std::multiset<std::string> links;
  for (const auto& entry :
       std::filesystem::directory_iterator{"/proc/" + std::to_string(pid) + "/fd"}) {
    std::error_code gone;
    auto link = std::filesystem::read_symlink(entry.path(), gone).string();
    // Numbers in brackets differ from one pipe to the next.
    if (!gone) links.insert(link.substr(0, link.find('[')));
  }
  return links;
}

TEST(guardian, leaves_workers_none_of_its_descriptors) {
  for (const auto start : {start_method::fork, start_method::forkserver, start_method::spawn}) {
    const auto host = open_files(::getpid());
    test_pool first{start};
    test_pool pool{start};
    const auto older = pool.spawn("idle");
    const auto worker = pool.spawn("idle");
    // The host's own, a pipe for a lane, two memory files, and the spec.
    EXPECT_LE(open_files(worker.pid).size(), host.size() + 4);
    EXPECT_EQ(open_files(worker.pid).count("socket:"), host.count("socket:"));
    EXPECT_EQ(open_files(worker.pid).count("anon_inode:"), host.count("anon_inode:"));
  }
}

TEST(guardian, gives_each_process_a_name_of_its_own) {
  test_pool pool;
  const auto worker = pool.spawn("idle");
  EXPECT_EQ(os::read_stat(pool.link().warden.pid())->name, "hardstop-warden");
  EXPECT_EQ(os::read_stat(pool.link().guardian.pid())->name, "hardstop-guard");
  EXPECT_EQ(os::read_stat(worker.pid)->name, "hardstop-worker");
  for (const pid_t pid : {pool.link().warden.pid(), pool.link().guardian.pid(), worker.pid}) {
    EXPECT_EQ(os::read_stat(pid)->session, pid);
  }
}

TEST(guardian, names_the_tracer_that_keeps_a_corpse_G2) {
  const marker mark;
  auto plan = test_pool::plan_for(start_method::fork);
  plan.confirm_within = std::chrono::milliseconds{50};
  test_pool pool{plan};
  const auto worker = pool.spawn("idle");
  if (::ptrace(PTRACE_SEIZE, worker.pid, nullptr, nullptr) != 0) {
    GTEST_SKIP() << "this process may not trace others";
  }
  const auto account = pool.kill_and_wait(worker);
  EXPECT_EQ(account.unconfirmed.reason, wire::survival::traced);
  EXPECT_EQ(account.unconfirmed.pid, worker.pid);
  EXPECT_EQ(account.unconfirmed.tracer, ::getpid());
  EXPECT_EQ(account.unconfirmed.others, 0U);
  EXPECT_GE(account.confirm_latency, std::chrono::milliseconds{50});

  // Others are not made to wait for it.
  EXPECT_EQ(pool.kill_and_wait(pool.spawn("daemon")).unconfirmed.reason, wire::survival::none);

  ::waitpid(worker.pid, nullptr, __WALL);
  pool.dismiss();
  EXPECT_THAT(mark.survivors(), IsEmpty());
}

TEST(guardian, goes_on_when_a_job_has_stopped_it) {
  test_pool pool;
  const auto worker = pool.spawn("stops_the_guardian");
  EXPECT_TRUE(pool.answers_ping());
  EXPECT_EQ(pool.kill_and_wait(worker).status.signal, SIGKILL);
}

TEST(guardian, is_resumed_with_its_warden_or_swept_up_by_it_G5) {
  const marker mark;
  for (const bool guardian_is_killed : {false, true}) {
    test_pool pool;
    // The worker's byte may come before the guardian's message, which then never comes.
    test_worker worker;
    pool.order("stops_warden_and_guardian", static_cast<wire::worker_id>(1), worker);
    ASSERT_TRUE(worker.wait_ready());
    if (guardian_is_killed) (void)pool.link().guardian.send_signal(SIGKILL);
    (void)pool.link().warden.send_signal(SIGCONT);
    if (guardian_is_killed) {
      EXPECT_TRUE(pool.both_end());
    } else {
      EXPECT_EQ(pool.kill_and_wait(worker).status.signal, SIGKILL);
      pool.dismiss();
    }
    EXPECT_THAT(mark.survivors(), IsEmpty());
  }
}

TEST(guardian, leaves_no_descriptor_in_the_client_after_many_lives) {
  const auto count = [] { return open_files(::getpid()).size(); };
  { test_pool pool; }
  const auto before = count();
  for (int life = 0; life < 30; ++life) {
    test_pool pool;
    (void)pool.kill_and_wait(pool.spawn("idle"));
  }
  EXPECT_EQ(count(), before);
}

}  // namespace
}  // namespace hardstop::test
