#include "tokens.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "os/one_per_process.hpp"
#include "os/signals.hpp"
#include "seconds.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::python {

namespace {

constexpr std::uint64_t bell_number = 0;
// Jobs that have ended are let go of now and then, not with a call back each.
constexpr std::size_t most_before_a_sweep = 64;

os::one_per_process<token_watch> present;

[[noreturn]] void fail(const char* what) {
  throw system_failure(std::error_code(errno, std::generic_category()), what);
}

void cancel(const std::vector<detail::job_handle>& jobs, double grace) {
  std::optional<std::chrono::nanoseconds> time;
  if (grace >= 0) time = to_duration(grace);
  // First all that wait: else one of them would begin where another has been stopped.
  for (const detail::job_handle& job : jobs)
    job.cancel(cancel_mode::take_back, std::nullopt);
  for (const detail::job_handle& job : jobs)
    job.cancel(cancel_mode::ask_then_kill, time);
}

}  // namespace

std::optional<double> look_into(int pipe) noexcept {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return std::nullopt;
  const os::descriptor out{ends[0]};
  const os::descriptor in{ends[1]};
  double grace = 0;
  // Copies within the kernel, so that everybody else still finds it.
  if (::tee(pipe, in.get(), sizeof grace, SPLICE_F_NONBLOCK) != sizeof grace) return std::nullopt;
  if (::read(out.get(), &grace, sizeof grace) != sizeof grace) return std::nullopt;
  return grace;
}

token_watch& token_watch::instance() {
  return present.get();
}

void token_watch::start() {
  if (thread_.joinable()) return;
  poll_ = os::descriptor{::epoll_create1(EPOLL_CLOEXEC)};
  bell_ = os::descriptor{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  epoll_event ringing{.events = EPOLLIN, .data = {.u64 = bell_number}};
  if (!poll_ || !bell_ || ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, bell_.get(), &ringing) != 0) {
    fail("watching a cancel token");
  }
  const os::signals_blocked quiet;  // handlers of the host's never run here
  thread_ = std::thread([this] { loop(); });
}

void token_watch::follow(int pipe, const detail::job_handle& job) {
  struct stat identity {};

  if (::fstat(pipe, &identity) != 0) fail("looking at a cancel token");
  const std::lock_guard hold(lock_);
  if (stopping_) return;
  start();
  const auto key = std::pair(identity.st_dev, identity.st_ino);
  if (const auto known = by_pipe_.find(key); known != by_pipe_.end()) {
    auto& jobs = tokens_.at(known->second).jobs;
    jobs.push_back(job);
    if (jobs.size() % most_before_a_sweep == 0) sweep();
    return;
  }
  sweep();
  os::descriptor copy{::fcntl(pipe, F_DUPFD_CLOEXEC, 3)};
  if (!copy) fail("copying a cancel token");
  const std::uint64_t number = ++last_number_;
  epoll_event readable{.events = EPOLLIN, .data = {.u64 = number}};
  if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, copy.get(), &readable) != 0) {
    fail("watching a cancel token");
  }
  tokens_.emplace(number, followed{.pipe = std::move(copy), .jobs = {job}});
  by_pipe_.emplace(key, number);
}

// Lets go of jobs that have ended, and of tokens that nobody follows. Under the lock.
void token_watch::sweep() {
  for (auto& [number, token] : tokens_) {
    std::erase_if(token.jobs, [](const auto& job) { return job.state() == job_state::done; });
  }
  std::erase_if(by_pipe_, [&](const auto& entry) {
    const auto token = tokens_.find(entry.second);
    if (!token->second.jobs.empty()) return false;
    tokens_.erase(token);  // closing its pipe takes it out of the poll
    return true;
  });
}

// A token was cancelled, or its maker is gone: nobody waits for it any more.
void token_watch::look(std::uint64_t number) {
  followed token;
  {
    const std::lock_guard hold(lock_);
    const auto found = tokens_.find(number);
    if (found == tokens_.end()) return;
    token = std::move(found->second);
    tokens_.erase(found);
    std::erase_if(by_pipe_, [&](const auto& entry) { return entry.second == number; });
  }
  // A job that begins to follow from here on makes a new entry, and is cancelled by that.
  ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, token.pipe.get(), nullptr);
  if (const auto grace = look_into(token.pipe.get())) cancel(token.jobs, *grace);
}

void token_watch::loop() {
  ::prctl(PR_SET_NAME, "hs-tokens");
  std::array<epoll_event, 16> events{};
  while (true) {
    const int count = ::epoll_wait(poll_.get(), events.data(), events.size(), -1);
    for (int at = 0; at < count; ++at) {
      const std::uint64_t number = events[static_cast<std::size_t>(at)].data.u64;
      if (number == bell_number) return;
      look(number);
    }
  }
}

void token_watch::stop() {
  {
    const std::lock_guard hold(lock_);
    stopping_ = true;
    tokens_.clear();
    by_pipe_.clear();
    if (!thread_.joinable()) return;
  }
  const std::uint64_t one = 1;
  static_cast<void>(!::write(bell_.get(), &one, sizeof one));
  thread_.join();
}

}  // namespace hardstop::python
