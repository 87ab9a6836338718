#include "redeploy.hpp"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include <hardstop/journal.hpp>
#include <hardstop/queue.hpp>
#include <hardstop/service.hpp>

using namespace std::chrono_literals;

namespace demo {

namespace {

constexpr std::size_t jobs_in_all = 300;

void crop(int number) {
  std::this_thread::sleep_for(std::chrono::milliseconds(2 + number % 7));
}

class temporary_folder {
 public:
  temporary_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "hardstop-demo-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder");
    path_ = name;
  }

  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;

  ~temporary_folder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string operator/(const char* name) const { return (path_ / name).string(); }

  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// This program again, as a service. Ended at the latest with this.
class service_process {
 public:
  explicit service_process(const std::string& folder) {
    std::string program = "hardstop_demo";
    std::string option = serve_option;
    std::string place = folder;
    std::array<char*, 4> words{program.data(), option.data(), place.data(), nullptr};
    if (::posix_spawn(&pid_, "/proc/self/exe", nullptr, nullptr, words.data(), ::environ) != 0) {
      throw std::runtime_error("cannot start a service");
    }
  }

  service_process(const service_process&) = delete;
  service_process& operator=(const service_process&) = delete;

  ~service_process() {
    if (pid_ > 0) end_by(SIGKILL);
  }

  // How it ended: an exit status, or minus the signal.
  int end_by(int signal) {
    ::kill(pid_, signal);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
};

void wait_until_done(const hardstop::queue& jobs, std::size_t many) {
  while (jobs.count(hardstop::queued_state::done) < many)
    std::this_thread::sleep_for(1ms);
}

std::string counts(const hardstop::queue& jobs) {
  return std::to_string(jobs.count(hardstop::queued_state::done)) + " done, " +
         std::to_string(jobs.count(hardstop::queued_state::queued)) + " queued, " +
         std::to_string(jobs.count(hardstop::queued_state::leased)) + " in nobody's hands";
}

}  // namespace

int serve(const std::string& folder) {
  hardstop::service_options options;
  options.pool.workers = 2;
  options.journal = folder + "/journal";
  options.on_log = [](const hardstop::log_record&) {};
  hardstop::service service{options};
  service.job<&crop>("crop");
  hardstop::queue jobs{folder + "/jobs.db"};
  return service.run(jobs);
}

bool redeploy(screen& out) {
  out.begin_act("a redeploy: one service is told to stop, the next is killed");
  out.line("work", std::to_string(jobs_in_all) + " jobs in a queue, two at a time");
  out.line("normally", "what a killed worker had in hand is lost, and nobody can tell what it was");

  const temporary_folder place;
  hardstop::queue jobs{place / "jobs.db"};
  for (std::size_t number = 0; number < jobs_in_all; ++number)
    jobs.enqueue("crop", {number});

  {
    service_process first{place.path()};
    wait_until_done(jobs, 30);
    const auto told = std::chrono::steady_clock::now();
    const int status = first.end_by(SIGTERM);
    const auto took = std::chrono::steady_clock::now() - told;
    out.line("SIGTERM", "drained, handed the rest back and exited with " + std::to_string(status) +
                            " after " + hardstop::to_string(took) + ": " + counts(jobs));
    if (status != 0) return false;
  }
  {
    service_process second{place.path()};
    wait_until_done(jobs, 120);
    second.end_by(SIGKILL);
    out.line("kill -9", counts(jobs));
    hardstop::journal journal{place / "journal"};
    const auto left = journal.unfinished();
    const auto done = journal.recover(jobs);
    out.line("recover", std::to_string(left.size()) +
                            " unfinished in the journal: " + std::to_string(done.failed) +
                            " had begun, " + std::to_string(done.returned) + " had not, of " +
                            std::to_string(done.acked + done.stale) +
                            " the queue knew the end; now " + counts(jobs));
  }
  service_process third{place.path()};
  wait_until_done(jobs, jobs_in_all);
  const int status = third.end_by(SIGTERM);
  out.line("afterwards", counts(jobs) + ": nothing lost");
  return status == 0;
}

}  // namespace demo
