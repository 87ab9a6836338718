#include "villains/driver.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <numeric>
#include <optional>
#include <string_view>

#include "support/cgroup.hpp"
#include "support/processes.hpp"

namespace villains {

struct walked {
  std::uint64_t steps = 0;
  std::uint64_t value = 0;
};

}  // namespace villains

template <>
struct hardstop::plain<villains::walked> : std::true_type {};

namespace villains {
namespace {

bool in_cgroup = false;  // as asked for on the command line

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int exit_skipped = 77;
constexpr int first_exit_code = 40;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  std::fflush(stderr);
  std::_Exit(1);  // the pool cannot be trusted to end: what is left is for the guardian to sweep
}

void require(bool holds, const std::string& what) {
  if (!holds) fail(what);
}

// The jobs on the street.

std::uint64_t step(std::uint64_t value) {
  return value * 6364136223846793005U + 1442695040888963407U;
}

walked neighbour(street_ref ref, int number) {
  const auto scene = ref.visit();
  walked so_far{.steps = 0, .value = static_cast<std::uint64_t>(number)};
  auto last = steady_clock::now();
  while (!scene->released.wait_for(1, 1ms)) {
    so_far.value = step(so_far.value);
    ++so_far.steps;
    const auto now = steady_clock::now();
    auto& longest = scene->longest_gap[static_cast<std::size_t>(number)];
    longest = std::max<std::int64_t>(longest, std::chrono::nanoseconds(now - last).count());
    last = now;
    scene->steps[static_cast<std::size_t>(number)].add();
  }
  return so_far;
}

bool walked_right(const walked& end, int number) {
  auto value = static_cast<std::uint64_t>(number);
  for (std::uint64_t count = 0; count < end.steps; ++count)
    value = step(value);
  return end.value == value;
}

// Children in the background, one of them a daemon. Returns the exit codes of the others.
std::vector<int> parent_of_some(street_ref ref) {
  auto& scene = ref.join();
  std::vector<pid_t> own;
  for (int number = 0; number < children; ++number) {
    const pid_t child = ::fork();
    if (child == 0) {
      scene.pids.add();
      ::_exit(scene.released.wait_for(1) ? first_exit_code + number : 1);
    }
    own.push_back(child);
  }
  const pid_t between = ::fork();
  if (between == 0) {
    ::setsid();
    if (::fork() == 0) {
      scene.pids.add();
      ::_exit(scene.released.wait_for(1) ? 0 : 1);
    }
    ::_exit(0);
  }
  ::waitpid(between, nullptr, 0);

  std::vector<int> codes;
  for (const pid_t child : own) {
    int status = 0;
    const bool reaped = ::waitpid(child, &status, 0) == child;
    codes.push_back(reaped && WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  }
  return codes;
}

std::vector<int> right_codes() {
  std::vector<int> codes(children);
  std::iota(codes.begin(), codes.end(), first_exit_code);
  return codes;
}

int twice(int number) {
  return 2 * number;
}

int who_is_my_guardian() {
  return ::getppid();
}

// Everybody on the street, from their start to their release.
class bystanders {
 public:
  explicit bystanders(hardstop::process_pool& pool) : street_("street") {
    for (int number = 0; number < neighbours; ++number) {
      walkers_.push_back(pool.submit<&neighbour>({.name = "neighbour"}, street_.ref(), number));
    }
    parent_ = pool.submit<&parent_of_some>({.name = "parent"}, street_.ref());
    expect_to_walk_on("have not begun");
    require(street_->pids.wait_for(children + 1), "the background job has not made its children");
    for (std::size_t place = 0; place < street_->pids.size(); ++place) {
      children_.emplace_back(street_->pids[place]);
    }
  }

  void expect_to_walk_on(const std::string& complaint) {
    for (auto& steps : street_->steps) {
      require(steps.wait_for(steps.get() + 3), "the neighbours " + complaint);
    }
  }

  void expect_children_alive() {
    for (const auto& child : children_) {
      require(!child.gone(), "a child of the background job is gone: its process was " +
                                 std::to_string(child.pid()));
    }
  }

  void expect_right_results() {
    street_->released.set(1);
    for (int number = 0; number < neighbours; ++number) {
      require(walked_right(walkers_[static_cast<std::size_t>(number)].get(), number),
              "a neighbour's result is wrong");
    }
    require(parent_.get() == right_codes(), "the background job got wrong exit codes");
    for (const auto& child : children_)
      require(child.wait_gone(), "a released child stays");
    report_gaps();
  }

  // Their guardian went and they with it.
  void expect_lost() {
    std::vector<hardstop::outcome> ends{parent_.outcome()};
    for (auto& walker : walkers_)
      ends.push_back(walker.outcome());
    for (const auto& end : ends) {
      require(end.kind() == hardstop::outcome_kind::worker_died,
              "a job that lost its guardian ended otherwise: " + end.describe());
    }
    const auto left = support::survivors(street_.mark());
    require(left.empty(), "left of jobs that lost their guardian:\n" + support::describe(left));
  }

 private:
  void report_gaps() const {
    std::int64_t longest = 0;
    for (const auto& gap : street_->longest_gap)
      longest = std::max(longest, gap.load());
    std::printf("  longest pause of a neighbour: %.1f ms\n", static_cast<double>(longest) / 1e6);
    require(longest < std::chrono::nanoseconds(support::patience / 4).count(),
            "a neighbour stalled");
  }

  support::board<street> street_;
  std::vector<hardstop::future<walked>> walkers_;
  hardstop::future<std::vector<int>> parent_;
  std::vector<support::watched_process> children_;
};

std::string_view name_of(stop how) {
  switch (how) {
    case stop::kill:
      return "killed";
    case stop::grace:
      return "asked, then killed";
    case stop::timeout:
      return "past its deadline";
    case stop::itself:
      break;
  }
  return "ending by itself";
}

void expect_cancelled(const hardstop::outcome& end) {
  const auto* const cancelled = end.as<hardstop::outcome::cancelled>();
  require(cancelled != nullptr && cancelled->how == hardstop::outcome::cancelled::extent::killed &&
              cancelled->by == hardstop::outcome::cancelled::source::caller &&
              end.cancel() == hardstop::cancel_answer::killed,
          "expected: cancelled, killed. Got: " + end.describe());
}

void expect_ending(const plan& plan, stop how, const hardstop::outcome& end) {
  if (plan.may_be_found_out && end.kind() == hardstop::outcome_kind::worker_died) return;
  switch (how) {
    case stop::kill:
    case stop::grace:
      expect_cancelled(end);
      break;
    case stop::timeout: {
      const auto* const late = end.as<hardstop::outcome::timed_out>();
      require(late != nullptr && late->limit == plan.timeout,
              "expected: timed out. Got: " + end.describe());
      break;
    }
    case stop::itself:
      if (const auto wrong = plan.expected(end); !wrong.empty()) {
        fail(wrong + " Got: " + end.describe());
      }
  }
  require(!end.unconfirmed(), "the kernel is said not to have killed it: " + end.describe());
  // With cgroup.kill whole families die at once, and parents that die reap children that nobody
  // else can count then.
  require(how == stop::itself || in_cgroup || end.processes_stopped() >= plan.processes,
          "too few processes counted as stopped: " + std::to_string(end.processes_stopped()));
}

void expect_at_its_worst(const support::board<lair>& scene, attempt& running) {
  if (scene->at_its_worst.wait_for(1)) return;
  running.cancel(hardstop::cancel_mode::kill);
  fail("the villain never came to its worst: " + running.outcome().describe());
}

void let_it_play(hardstop::process_pool& pool, const plan& plan, stop how,
                 const villain_submitter& submit) {
  const support::board<lair> scene("villain");
  hardstop::job_options options{.max_memory = plan.max_memory, .name = "villain"};
  if (how == stop::timeout) options.timeout = plan.timeout;
  auto running = submit(pool, options, scene.ref());
  if (how == stop::kill || how == stop::grace) {
    expect_at_its_worst(scene, running);
    using enum hardstop::cancel_mode;
    const auto answer = running.cancel(how == stop::kill ? kill : ask_then_kill);
    require(plan.may_be_found_out || answer == hardstop::cancel_result::requested,
            "cancelling a running villain should be a request");
  }

  const auto end = running.outcome();
  const auto left = support::survivors(scene.mark());
  require(left.empty(), "left when the outcome was seen:\n" + support::describe(left));
  for (std::size_t place = 0; place < scene->pids.size(); ++place) {
    const auto line = support::look_at(scene->pids[place]);
    require(!line || line->state != 'Z', "a corpse of the villain's tree was not reaped: process " +
                                             std::to_string(scene->pids[place]));
  }
  expect_ending(plan, how, end);
  std::printf("  %s: %s\n", std::string(name_of(how)).c_str(), end.describe().c_str());
}

void expect_to_work_on(hardstop::process_pool& pool) {
  std::vector<hardstop::future<int>> jobs;
  for (int number = 0; number < 50; ++number)
    jobs.push_back(pool.submit<&twice>(number));
  for (int number = 0; number < 50; ++number) {
    require(jobs[static_cast<std::size_t>(number)].get() == 2 * number,
            "the pool computes wrongly after the villain");
  }
}

hardstop::start_method start_of(std::string_view name) {
  using enum hardstop::start_method;
  if (name == "fork") return fork;
  if (name == "forkserver") return forkserver;
  require(name == "spawn", "usage: fork | forkserver | spawn [cgroup]");
  return spawn;
}

void play_all(hardstop::process_pool& pool, const plan& plan, const villain_submitter& submit) {
  try {
    std::optional<bystanders> street;
    for (const stop how : plan.stops) {
      if (!street) street.emplace(pool);
      let_it_play(pool, plan, how, submit);
      if (plan.spares_neighbours) {
        street->expect_to_walk_on("stand still");
        street->expect_children_alive();
      } else {
        street->expect_lost();
        street.reset();
      }
      expect_to_work_on(pool);
    }
    if (street) street->expect_right_results();
  } catch (const std::exception& error) {
    fail(std::string("unexpected: ") + error.what());  // before the pool waits for all its jobs
  }
}

}  // namespace

verdict died_by_signal(int signal) {
  return [signal](const hardstop::outcome& end) -> std::string {
    const auto* const died = end.as<hardstop::outcome::worker_died>();
    if (died != nullptr && died->signal == signal && !died->exit_code) return {};
    return "Expected: worker died by signal " + std::to_string(signal) + ".";
  };
}

verdict died_by_exit(int code) {
  return [code](const hardstop::outcome& end) -> std::string {
    const auto* const died = end.as<hardstop::outcome::worker_died>();
    if (died != nullptr && died->exit_code == code && !died->signal) return {};
    return "Expected: worker died by exit " + std::to_string(code) + ".";
  };
}

verdict has_kind(hardstop::outcome_kind kind) {
  return [kind](const hardstop::outcome& end) -> std::string {
    if (end.kind() == kind) return {};
    return "Expected: " + std::string(hardstop::to_string(kind)) + ".";
  };
}

int play(int argc, char** argv, const plan& plan, const villain_submitter& submit) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  require(!arguments.empty(), "usage: fork | forkserver | spawn [cgroup]");
  std::optional<support::own_cgroup> cgroup;
  if (arguments.size() > 1) {
    cgroup.emplace();
    if (cgroup->path().empty()) {
      std::printf("SKIPPED: %s\n", cgroup->why_not().c_str());
      return exit_skipped;
    }
  }
  hardstop::pool_options options{.workers = neighbours + 3, .start = start_of(arguments[0])};
  if (cgroup) options.cgroup = cgroup->path();
  in_cgroup = cgroup.has_value();
  support::ancestry above;
  {
    hardstop::process_pool pool(options);
    play_all(pool, plan, submit);
    above = support::ancestry::of_guardian(pool.submit<&who_is_my_guardian>().get());
  }
  require(above.guardian.wait_gone() && above.warden.wait_gone(),
          "guardian or warden outlive their pool");
  require(!cgroup || cgroup->remove(), "the pool's end left something in its cgroup");
  return 0;
}

}  // namespace villains
