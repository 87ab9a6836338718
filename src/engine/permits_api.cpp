// The boundary of the public classes (hardstop/detail/permits.hpp): to the engine of this process,
// or through the lane to that of the client whose job runs here.
#include <unistd.h>

#include <limits>
#include <string>

#include "engine/engine.hpp"
#include "os/clock.hpp"
#include "worker/requests.hpp"
#include <hardstop/errors.hpp>
#include <hardstop/semaphore.hpp>
#include <hardstop/shield.hpp>

namespace hardstop::detail {

namespace {

constexpr std::uint32_t most_permits = std::numeric_limits<std::int32_t>::max();

// Whether it is a row of this very process, and not of one that forked it.
bool is_here(const semaphore_handle& which) {
  return which.row() && which.row()->home->is_of_this_process();
}

[[noreturn]] void refuse_here(const semaphore_handle& which) {
  const std::string name = which.row() ? "'" + which.row()->name + "'" : "of another process";
  if (which.row()) {
    throw forked_child("semaphore " + name +
                       " belongs to the process that forked this one, which no job runs in: make "
                       "one here, or use it in a job");
  }
  throw error(
      "semaphore " + name +
      " can be used in its client and in the jobs that client runs: not in other processes, "
      "nor in children that a job forks");
}

worker::requests& lane_of(const semaphore_handle& which) {
  worker::requests* const here = worker::requests::of_this_process();
  if (here == nullptr) refuse_here(which);
  if (here->attempt() == wire::ticket::none)
    throw error("permits are held by jobs, and none runs in this worker now");
  return *here;
}

// A system call each time it is asked for, else.
std::uint64_t this_thread() {
  static thread_local const auto number = static_cast<std::uint64_t>(::gettid());
  return number;
}

void check_counts(std::span<const wanted_permits> wants) {
  for (const wanted_permits& each : wants) {
    if (each.count != 0 && each.count <= each.of->permits()) continue;
    throw bad_options(std::to_string(each.count) + " permits of semaphore " + each.of->name() +
                      ", which has " + std::to_string(each.of->permits()) +
                      ": ask for one at least, and for no more than there are");
  }
  for (std::size_t at = 0; at < wants.size(); ++at) {
    for (std::size_t other = at + 1; other < wants.size(); ++other) {
      if (wants[at].of->id() == wants[other].of->id())
        throw bad_options("semaphore " + wants[at].of->name() +
                          " is asked for twice: give the sum");
    }
  }
  if (wants.empty() || wants.size() > wire::most_wanted) {
    throw bad_options("permits of " + std::to_string(wants.size()) + " semaphores: ask for 1 to " +
                      std::to_string(wire::most_wanted));
  }
}

[[noreturn]] void refuse(const wire::job_answer& answer) {
  switch (answer.kind) {
    case wire::job_answer_kind::unknown:
      throw error(
          "the client of this job does not know the semaphore: it must be made in the process that "
          "submits the job");
    case wire::job_answer_kind::impossible:
      throw bad_options("more permits were asked for than the semaphore has");
    default:
      throw error("the job is being stopped, and gets no permits any more");
  }
}

}  // namespace

// --- semaphore_handle

semaphore_handle::semaphore_handle(std::uint32_t permits, std::string_view name)
    : permits_(permits) {
  if (permits == 0 || permits > most_permits) {
    throw bad_options("a semaphore of " + std::to_string(permits) +
                      " permits: it has one at least, and at most 2147483647");
  }
  row_ = engine::engine::instance().open_semaphore(permits, name);
  id_ = row_->id;
}

semaphore_handle::semaphore_handle(std::uint64_t id, std::uint32_t permits)
    : id_(id), permits_(permits) {
  if (engine::engine* const here = engine::engine::existing()) row_ = here->find_semaphore(id);
  if (row_) {
    permits_ = row_->permits;
  } else if (worker::requests::of_this_process() == nullptr) {
    throw decode_error("a semaphore that this process did not make, and no job runs here");
  }
}

void semaphore_handle::travel() const {
  if (is_here(*this)) row_->home->keep_semaphore(row_);
}

semaphore_stats semaphore_handle::stats() const {
  if (!is_here(*this)) {
    throw error("the statistics of a semaphore are told in the client that made it");
  }
  return row_->home->stats(*row_);
}

std::string semaphore_handle::name() const {
  return row_ ? "'" + row_->name + "'" : std::to_string(id_ & 0xffffffffU);
}

// --- permit_hold

permit_hold::permit_hold(permit_hold&& other) noexcept
    : claim_(std::move(other.claim_)),
      request_(std::exchange(other.request_, 0)),
      attempt_(other.attempt_),
      fence_(other.fence_),
      granted_(std::exchange(other.granted_, false)),
      abandoned_(other.abandoned_) {}

permit_hold& permit_hold::operator=(permit_hold&& other) noexcept {
  if (this == &other) return *this;
  withdraw();
  claim_ = std::move(other.claim_);
  request_ = std::exchange(other.request_, 0);
  attempt_ = other.attempt_;
  fence_ = other.fence_;
  granted_ = std::exchange(other.granted_, false);
  abandoned_ = other.abandoned_;
  return *this;
}

permit_hold::~permit_hold() {
  withdraw();
}

permit_hold permit_hold::ask(std::span<const wanted_permits> wants, patience how,
                             const claimant& who) {
  check_counts(wants);
  permit_hold made;
  if (!is_here(*wants.front().of)) {
    worker::requests& lane = lane_of(*wants.front().of);
    wire::job_request request{.kind = how == patience::wait ? wire::job_request_kind::acquire
                                                            : wire::job_request_kind::try_acquire};
    request.context = who.context != 0 ? who.context : worker::requests::context_of_this_thread();
    for (const wanted_permits& each : wants)
      request.wants.push_back({each.of->id(), each.count});
    made.attempt_ = static_cast<std::uint64_t>(lane.attempt());
    const auto sent = lane.ask(request);
    if (!sent) refuse({.kind = wire::job_answer_kind::over});
    made.request_ = *sent;
    return made;
  }
  engine::engine& home = *wants.front().of->row()->home;
  auto asked = std::make_shared<claim>(home);
  for (const wanted_permits& each : wants) {
    if (!is_here(*each.of)) throw bad_options("semaphores of two clients in one request");
    asked->want_of(each.of->row(), each.count);
  }
  asked->owner.context = who.context != 0 ? who.context : this_thread();
  asked->who = who.name;
  const auto patient =
      how == patience::wait ? schedule::patience::wait : schedule::patience::try_now;
  const bool granted = home.acquire(asked, patient);
  if (granted) made.take_grant(asked->fence, asked->abandoned());
  if (granted || how == patience::wait) made.claim_ = std::move(asked);
  return made;
}

void permit_hold::take_grant(std::uint64_t fence, bool abandoned) noexcept {
  granted_ = true;
  fence_ = fence;
  abandoned_ = abandoned;
}

bool permit_hold::wait(std::optional<std::chrono::steady_clock::time_point> until) {
  if (granted_) return true;
  if (claim_) {
    while (claim_->settled.load(std::memory_order_acquire) == 0) {
      const os::wait_end end = os::futex_wait(claim_->settled, 0, os::futex_scope::process, until);
      if (end == os::wait_end::interrupted) return false;
      if (until && os::now() >= *until) break;
    }
    if (claim_->settled.load(std::memory_order_acquire) == 0) return false;
    take_grant(claim_->fence, claim_->abandoned());
    return true;
  }
  worker::requests* const lane = worker::requests::of_this_process();
  if (lane == nullptr || request_ == 0) throw error("nothing was asked for");
  const auto answer = lane->wait(request_, until);
  if (!answer) return false;
  if (answer->kind == wire::job_answer_kind::granted) {
    take_grant(answer->fence, answer->abandoned);
    return true;
  }
  request_ = 0;
  if (answer->kind != wire::job_answer_kind::unavailable) refuse(*answer);
  return false;
}

bool permit_hold::on_granted(continuation& then) {
  if (!claim_) throw error("only the client can be called back: in a job, wait");
  if (granted_ || !claim_->home->on_granted(*claim_, then)) return false;
  return true;
}

bool permit_hold::withdraw() noexcept {
  const bool heard = std::exchange(granted_, false);
  if (const auto what = std::exchange(claim_, nullptr)) {
    if (!what->home->is_of_this_process()) return false;
    return what->home->give_back(
        what, heard ? schedule::permit_return::released : schedule::permit_return::unused);
  }
  const std::uint64_t request = std::exchange(request_, 0);
  worker::requests* const lane = worker::requests::of_this_process();
  // With its attempt all of it has come back.
  if (request == 0 || lane == nullptr || static_cast<std::uint64_t>(lane->attempt()) != attempt_)
    return false;
  heard ? lane->give_back(request) : lane->withdraw(request);
  return false;
}

void permit_hold::give_back() {
  if (!granted_) throw error("this permit is not held: it was released already, or never granted");
  if (!claim_ && request_ == 0) {
    throw error(
        "what a job needs is held until the job ends: acquire it in the job to give it back early");
  }
  withdraw();
}

std::optional<permit_hold> permit_hold::needed(const semaphore_handle& of) {
  worker::requests& lane = lane_of(of);
  const auto sent = lane.ask({.kind = wire::job_request_kind::needs, .wants = {{of.id(), 1}}});
  if (!sent) refuse({.kind = wire::job_answer_kind::over});
  std::optional<wire::job_answer> answer;
  while (!answer)
    answer = lane.wait(*sent, std::nullopt);
  if (answer->kind == wire::job_answer_kind::unavailable) return std::nullopt;
  if (answer->kind != wire::job_answer_kind::granted) refuse(*answer);
  permit_hold made;
  made.take_grant(answer->fence, answer->abandoned);
  return made;
}

}  // namespace hardstop::detail

namespace hardstop {

shield::shield(std::chrono::nanoseconds longest, std::string_view reason) {
  if (longest <= std::chrono::nanoseconds::zero()) {
    throw bad_options("a shield of " + to_string(longest) +
                      ": name the longest time that a cancel may have to wait");
  }
  worker::requests* const here = worker::requests::of_this_process();
  if (here != nullptr) attempt_ = static_cast<std::uint64_t>(here->shield(longest, reason));
  if (attempt_ == 0)
    throw error("a shield was made outside of a job: there is nobody to cancel this");
}

shield::~shield() {
  if (worker::requests* const here = worker::requests::of_this_process())
    here->unshield(wire::ticket{attempt_});
}

std::vector<semaphore_stats> busy_semaphores() {
  engine::engine* const here = engine::engine::existing();
  return here == nullptr ? std::vector<semaphore_stats>() : here->stats_of_busy_semaphores();
}

}  // namespace hardstop
