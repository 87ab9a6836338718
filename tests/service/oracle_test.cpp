// Services that are killed with SIGKILL, at random moments and at every point between two steps,
// and started again until the work is done (G9). The oracle reads the queue, the journal, and what
// the jobs themselves have written, and believes none of them alone.
//
//   HARDSTOP_ORACLE_RUNS=1000   how many lives of services; a twentieth of it is usual
//   HARDSTOP_ORACLE_SEED=<n>    where chance begins
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "service/fault.hpp"
#include "service/stage.hpp"
#include "simulation/dice.hpp"
#include "support/contents.hpp"
#include <hardstop/journal.hpp>
#include <hardstop/queue.hpp>

namespace {

using hardstop::queue;
using hardstop::queued_state;
using service_stage::folder;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t workers = 2;
constexpr std::size_t prefetch = 2;
constexpr std::size_t window = 5;
constexpr int jobs_each = 12;

// What is killed before the journal knows of it comes back with the end of its lease.
const hardstop::queue_options short_leases{.lease = milliseconds(500)};

constexpr const char* points[] = {"after take before journal",
                                  "after journal",
                                  "after journal before start",
                                  "in mid-result",
                                  "after result before ack",
                                  "after ack before journal",
                                  "during requeue",
                                  "between two kills"};

// --- the service

// One line in one write: whole, whoever is killed when.
void testify(const std::string& file, const std::string& line) {
  const int out = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::string text = line + "\n";
  if (::write(out, text.data(), text.size()) < 0) std::abort();
  ::close(out);
}

void work(int number, int microseconds, std::string evidence) {
  testify(evidence, "begin " + std::to_string(number));
  ::usleep(static_cast<unsigned>(microseconds));
  testify(evidence, "end " + std::to_string(number));
}

std::string fatal_point;
std::atomic<int> visits_left;

void die_there(std::string_view point) {
  if (point == fatal_point && --visits_left == 0) ::kill(::getpid(), SIGKILL);
}

// <folder> <point> <which visit>
int serve_and_die(const std::vector<std::string>& arguments) {
  const std::string& place = arguments.at(0);
  fatal_point = arguments.at(1);
  visits_left = std::stoi(arguments.at(2));
  hardstop::serving::the_fault_hook = &die_there;
  hardstop::service_options options;
  options.pool.workers = static_cast<int>(workers);
  options.prefetch = prefetch;
  options.window = window;
  options.grace = milliseconds(2000);
  options.drain_time = milliseconds(2);
  options.dispose_time = milliseconds(900);
  options.shutdown_time = milliseconds(900);
  options.journal = place + "/journal";
  options.on_log = [place](const hardstop::log_record& record) {
    testify(place + "/log", std::string(record.event) + " " + std::string(record.text));
  };
  hardstop::service service{options};
  service.job<&work>("work");
  queue jobs{place + "/jobs.db", short_leases};
  testify(place + "/lives", "begun");
  return service.run(jobs);
}

const support::part service_part{"serve_and_die", &serve_and_die};

// --- the oracle

class Oracle {
 public:
  explicit Oracle(std::uint64_t seed) : dice_(seed), jobs_(place_ / "jobs.db", short_leases) {
    for (int number = 0; number < jobs_each; ++number) {
      jobs_.enqueue("work", {number, static_cast<int>(dice_.between(0, 6000)), place_ / "evidence"},
                    {.max_attempts = 1000, .back_off = milliseconds(1)});
    }
  }

  // One episode: lives of a service until all is done. Returns how many there were.
  int run() {
    int lives = 0;
    while (jobs_.count(queued_state::done) != jobs_each) {
      ++lives;
      live(lives);
      if (testing::Test::HasFailure()) break;
    }
    check_all_was_done();
    return lives;
  }

 private:
  void live(int number) {
    const auto leased_before = leases();
    const bool at_a_point = dice_.chance(0.7);
    const std::string point = at_a_point ? points[dice_.index(std::size(points))] : "nowhere";
    auto process = support::start_part(
        "serve_and_die", {place_.path().string(), point, std::to_string(dice_.between(1, 4))});
    while (lines("lives").size() < static_cast<std::size_t>(number))
      std::this_thread::sleep_for(milliseconds(1));

    // Killed by itself, by us, or told to stop, whichever comes first.
    const bool polite = at_a_point || dice_.chance(0.5);
    std::this_thread::sleep_for(std::chrono::microseconds(dice_.between(0, 40'000)));
    if (polite) {
      for (std::uint64_t stops = dice_.between(1, 3); stops != 0; --stops)
        ::kill(process.pid(), SIGTERM);
      check(process.wait(), point, leased_before);
    } else {
      check(process.end(), point, leased_before);
    }
  }

  // Jobs that some service has, with the number of the lease.
  [[nodiscard]] std::set<std::pair<std::string, unsigned>> leases() const {
    std::set<std::pair<std::string, unsigned>> all;
    for (const auto& job : jobs_.jobs({.state = queued_state::leased}))
      all.emplace(job.id, job.attempts);
    return all;
  }

  void check(int status, const std::string& point,
             const std::set<std::pair<std::string, unsigned>>& leased_before) {
    hardstop::journal journal{place_ / "journal", seconds(10)};
    const auto open = journal.unfinished();
    const auto history = journal.history(100'000);
    if (WIFSIGNALED(status)) {
      EXPECT_EQ(WTERMSIG(status), SIGKILL) << "at " << point;
      EXPECT_LE(open.size(), workers + prefetch) << "at " << point;
      std::uint64_t last = 0;
      for (const auto& each : history)
        last = each.run == journal.runs().back().run ? std::max(last, each.number) : last;
      for (const auto& each : open) {
        if (each.run != journal.runs().back().run) continue;
        EXPECT_GT(each.number + window, last) << "unfinished, and not among the last taken";
      }
      return;
    }
    const int code = WEXITSTATUS(status);
    EXPECT_TRUE(code == 0 || code == 75) << "exit status " << code << "\n"
                                         << support::contents(place_ / "log");
    EXPECT_EQ(journal.runs().back().status, code);
    if (code != 0) return;
    EXPECT_TRUE(open.empty()) << "status 0, and the journal has " << open.size() << " left";
    for (const auto& lease : leases()) {
      EXPECT_TRUE(leased_before.contains(lease))
          << "status 0, and job " << lease.first << " is still leased\n"
          << support::contents(place_ / "log");
    }
  }

  // Nothing lost; nothing done twice that the journal does not show.
  void check_all_was_done() {
    std::map<int, int> begun;
    std::map<int, int> ended;
    for (const std::string& line : lines("evidence")) {
      std::istringstream in(line);
      std::string what;
      int number = 0;
      in >> what >> number;
      ++(what == "begin" ? begun : ended)[number];
    }
    std::map<std::string, int> attempts;
    hardstop::journal journal{place_ / "journal", seconds(10)};
    for (const auto& each : journal.history(100'000))
      attempts[each.receipt.job] += each.started_at ? 1 : 0;
    const auto all = jobs_.jobs();
    ASSERT_EQ(all.size(), jobs_each);
    for (int number = 0; number < jobs_each; ++number) {
      EXPECT_GE(ended[number], 1) << "job " << number << " was never done";
      const auto& job = all[static_cast<std::size_t>(number)];
      EXPECT_LE(begun[number], attempts[job.id])
          << "job " << number << " began more often than the journal knows";
    }
  }

  [[nodiscard]] std::vector<std::string> lines(const std::string& file) const {
    std::istringstream in(support::contents(place_ / file));
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);)
      all.push_back(line);
    return all;
  }

  folder place_;
  hardstop::simulation::dice dice_;
  queue jobs_;
};

int number_from(const char* variable, int otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::stoi(text) : otherwise;
}

TEST(ServiceOracle, G9_NothingIsLostWhereverItIsKilled) {
  const int wanted = number_from("HARDSTOP_ORACLE_RUNS", 50);
  const int first = number_from("HARDSTOP_ORACLE_SEED", 1);
  int lives = 0;
  for (int seed = first; lives < wanted; ++seed) {
    lives += Oracle(static_cast<std::uint64_t>(seed)).run();
    ASSERT_FALSE(HasFailure()) << "HARDSTOP_ORACLE_SEED=" << seed;
  }
}

}  // namespace
