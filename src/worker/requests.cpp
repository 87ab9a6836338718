#include "worker/requests.hpp"

#include <time.h>
#include <unistd.h>

#include "os/clock.hpp"
#include "os/futex.hpp"
#include "wire/spin.hpp"

namespace hardstop::worker {

namespace {

// The ring of answers has more places than that, so that no answer is ever without one.
constexpr std::size_t most_unanswered = 48;

std::atomic<requests*> present{nullptr};
thread_local bool runs_jobs = false;

// The lane's ring of reports is read within microseconds.
void sleep_briefly() {
  const timespec moment{.tv_sec = 0, .tv_nsec = 50'000};
  ::nanosleep(&moment, nullptr);
}

}  // namespace

requests* requests::of_this_process() {
  requests* const found = present.load(std::memory_order_acquire);
  if (found == nullptr || found->generation_ != os::process_generation()) return nullptr;
  return found;
}

void requests::prepare(job_output& output, const wire::client_words& words) {
  runs_jobs = true;
  present.store(new requests(output, words), std::memory_order_release);
}

std::uint64_t requests::context_of_this_thread() {
  return runs_jobs ? 0 : static_cast<std::uint64_t>(::gettid());
}

void requests::begin(wire::ticket attempt) {
  if (requests* const here = present.load(std::memory_order_relaxed)) here->enter(attempt);
}

void requests::enter(wire::ticket attempt) {
  attempt_.store(attempt, std::memory_order_relaxed);
  shields_.store(0, std::memory_order_relaxed);
}

void requests::end() {
  begin(wire::ticket::none);
}

std::optional<std::uint64_t> requests::ask(wire::job_request what) {
  what.id = last_.fetch_add(1, std::memory_order_relaxed) + 1;
  while (!reserve()) {
    if (attempt() == wire::ticket::none) return std::nullopt;
    sleep_briefly();
  }
  if (send(what)) return what.id;
  const std::lock_guard hold(lock_);
  --unanswered_;
  return std::nullopt;
}

bool requests::has_room() {
  const std::lock_guard hold(lock_);
  take_answers();
  return unanswered_ < most_unanswered;
}

bool requests::reserve() {
  const std::lock_guard hold(lock_);
  take_answers();
  if (unanswered_ >= most_unanswered) return false;
  ++unanswered_;
  return true;
}

// Under the lock.
void requests::take_answers() {
  while (const auto answer = words_.take_answer()) {
    if (unanswered_ != 0) --unanswered_;
    if (unwanted_.erase(answer->id) == 0) arrived_.emplace(answer->id, *answer);
  }
}

bool requests::send(const wire::job_request& what) {
  const auto bytes = wire::encode(what);
  const wire::ticket asking = attempt();
  while (asking != wire::ticket::none && asking == attempt()) {
    if (output_.send(asking, wire::report_kind::query, bytes)) return true;
    sleep_briefly();  // no room in the lane
  }
  return false;
}

std::optional<wire::client_answer> requests::take(std::uint64_t request) {
  const std::lock_guard hold(lock_);
  take_answers();
  const auto found = arrived_.find(request);
  if (found == arrived_.end()) return std::nullopt;
  const wire::client_answer answer = found->second;
  arrived_.erase(found);
  return answer;
}

std::optional<wire::job_answer> requests::wait(
    std::uint64_t request, std::optional<std::chrono::steady_clock::time_point> until) {
  std::optional<wire::client_answer> answer;
  const auto came = [&] {
    answer = take(request);
    return answer.has_value();
  };
  for (bool first = true;; first = false) {
    // The bell before the look: whoever answers in between changes it.
    const os::awaited_word bell = words_.bell();
    if (came()) break;
    if (first && wire::spin_until(came)) break;
    if (until && os::now() >= *until) return std::nullopt;
    if (os::futex_wait(*bell.word, bell.expected, bell.scope, until) == os::wait_end::interrupted)
      return std::nullopt;
  }
  return wire::job_answer::from(answer->first, answer->second);
}

wire::ticket requests::shield(std::chrono::nanoseconds longest, std::string_view reason) {
  const wire::ticket here = attempt();
  if (here == wire::ticket::none || shields_.fetch_add(1, std::memory_order_relaxed) != 0)
    return here;
  static_cast<void>(send(
      {.kind = wire::job_request_kind::shield, .longest = longest, .reason = std::string(reason)}));
  return here;
}

void requests::unshield(wire::ticket of) {
  // A thread that an earlier job has left behind.
  if (of != attempt()) return;
  if (shields_.fetch_sub(1, std::memory_order_relaxed) == 1)
    static_cast<void>(send({.kind = wire::job_request_kind::unshield}));
}

void requests::give_back(std::uint64_t request) {
  static_cast<void>(send({.kind = wire::job_request_kind::give_back, .id = request}));
}

void requests::withdraw(std::uint64_t request) {
  {
    const std::lock_guard hold(lock_);
    if (arrived_.erase(request) == 0) unwanted_.insert(request);
  }
  give_back(request);
}

}  // namespace hardstop::worker
