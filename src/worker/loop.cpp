#include "worker/loop.hpp"

#include <sched.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "os/clock.hpp"
#include "os/same_process.hpp"
#include "wire/arena.hpp"
#include "wire/layout.hpp"
#include "wire/results.hpp"
#include "wire/spin.hpp"
#include "wire/worker_lane.hpp"
#include "worker/apply_environment.hpp"
#include "worker/attempt_output.hpp"
#include "worker/capture.hpp"
#include "worker/cpp_runtime.hpp"
#include "worker/fork_count.hpp"
#include "worker/reporter.hpp"
#include "worker/requests.hpp"
#include "worker/zombies.hpp"

namespace hardstop::worker {
namespace {

[[noreturn]] void end(exit_code code) {
  _exit(static_cast<int>(code));
}

// How long an end may wait for whoever is going to ask for it: some steps of an interpreter.
constexpr std::chrono::microseconds taker_budget{10};
// Ends that wake the resident at once between two that wait, where waiting has not paid.
constexpr unsigned try_again_after = 16;

class loop {
 public:
  loop(wire::worker_lane lane, wire::argument_view arguments, wire::worker_results results,
       const spec& told, runtime& language)
      : lane_(std::move(lane)),
        arguments_(std::move(arguments)),
        results_(std::move(results)),
        reporter_(lane_),
        output_(reporter_, lane_, results_),
        zombies_(told.most_zombies),
        runtime_(language) {}

  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;
  ~loop() = default;

  std::size_t reserved_by_arenas() const { return arguments_.reserved() + results_.reserved(); }

  // Until it is asked to leave.
  void run(const spec& told) {
    capture_ = capture_watch{told.environment};
    if (const auto failure = runtime_.start(told, lane_.words())) give_up(*failure);
    stay_the_worker();
    requests::prepare(output_, lane_.words());
    reporter_.report({.kind = wire::report_kind::ready});
    for (;;) {
      const wire::claimed_frame frame = lane_.claim();
      switch (frame.status) {
        case wire::claim_status::frame:
          lane_.ring_if_owed();
          attempt(frame);
          break;
        case wire::claim_status::nothing:
          if (wait() == then::leave) return runtime_.leave();
          break;
        case wire::claim_status::corrupt:
          end(exit_code::lane_corrupt);
      }
    }
  }

  [[noreturn]] void give_up(const wire::failure& failure) {
    stay_the_worker();
    reporter_.report({.kind = wire::report_kind::start_failed,
                      .payload = wire::encode_failure(failure.type, failure.what)});
    runtime_.leave();
    end(exit_code::start_failed);
  }

 private:
  // A job forked and its child came back here: it has no lane, and its parent is the worker.
  void stay_the_worker() const {
    if (generation_ != os::process_generation()) end(exit_code::not_the_worker);
  }

  void attempt(const wire::claimed_frame& frame) {
    const std::uint64_t forks = forks_so_far();
    output_.begin(frame.ticket);
    requests::begin(frame.ticket);
    runtime_.execute(view(frame), output_);
    stay_the_worker();
    requests::end();
    const auto forked = forks_so_far() == forks ? wire::forked::no : wire::forked::yes;
    output_.publish(forked, capture_.after_attempt());
  }

  job_view view(const wire::claimed_frame& frame) {
    segments_.clear();
    for (const wire::byte_range& place : frame.segments)
      segments_.push_back(at(place));
    return {.ticket = frame.ticket,
            .function = frame.function,
            .attempt = frame.runtime_flags,
            .payload = frame.large_payload ? at(*frame.large_payload) : copied(frame.payload),
            .segments = segments_};
  }

  // Out of the lane: a forked child of the job does not have it, and may read the arguments.
  std::span<const std::byte> copied(std::span<const std::byte> payload) {
    std::copy(payload.begin(), payload.end(), arguments_copy_.begin());
    return {arguments_copy_.data(), payload.size()};
  }

  std::span<const std::byte> at(const wire::byte_range& place) const {
    const auto bytes = arguments_.at(place);
    if (!bytes) end(exit_code::lane_corrupt);
    return *bytes;
  }

  enum class then : std::uint8_t { go_on, leave };

  // Until there may be a frame, or it is time to leave.
  then wait() {
    tell_of_end();
    if (const auto passed = lane_.take_skipped()) {
      reporter_.report({.kind = wire::report_kind::slots_freed,
                        .payload = std::as_bytes(std::span{&*passed, 1})});
    }
    if (runtime_.should_retire()) reporter_.report({.kind = wire::report_kind::recycle});
    if (const auto budget = worth_spinning(); budget > std::chrono::nanoseconds::zero()) {
      lane_.publish_cpu(wire::current_cpu());
      if (wire::spin_until([this] { return something_waits(); }, budget)) {
        score_.paid(budget);
        return next();
      }
      score_.miss();
    }
    if (next() == then::leave) return then::leave;
    if (zombies_.too_many()) reporter_.report({.kind = wire::report_kind::recycle});
    sleep();
    lane_.publish_cpu(wire::current_cpu());
    return next();
  }

  // Gives a thread of the client that takes job after job the time to come for its job's end before
  // the resident is woken.
  void tell_of_end() {
    if (!lane_.owes_ring()) {
      takers_.hit();
    } else if (lane_.client_cpu() == wire::current_cpu()) {
      ::sched_yield();
    } else if (takers_.worthwhile() || ++untried_ % try_again_after == 0) {
      const auto come = [this] { return !lane_.owes_ring() || something_waits(); };
      if (wire::spin_until(come, taker_budget)) {
        takers_.hit();
      } else {
        takers_.miss();
      }
    }
    lane_.ring_if_owed();
  }

  // For so long.
  std::chrono::nanoseconds worth_spinning() {
    const auto budget = score_.budget();
    return lane_.client_cpu() != wire::current_cpu() ? budget : std::chrono::nanoseconds::zero();
  }

  bool something_waits() const { return lane_.frame_waits() || lane_.exit_requested(); }

  void sleep() {
    runtime_.before_sleep();
    const auto fell_asleep = os::now();
    lane_.sleep(wire::wait_for::frames, [this] { return something_waits(); });
    score_.slept(os::now() - fell_asleep);
    runtime_.after_sleep();
  }

  // What was put before the request to leave still runs.
  then next() const {
    return lane_.exit_requested() && !lane_.frame_waits() ? then::leave : then::go_on;
  }

  const std::uint64_t generation_ = os::process_generation();
  wire::worker_lane lane_;
  wire::argument_view arguments_;
  wire::worker_results results_;
  reporter reporter_;
  attempt_output output_;
  capture_watch capture_;  // of nothing, until the streams are in place
  zombie_watch zombies_;
  runtime& runtime_;
  wire::spin_score score_;
  wire::spin_score takers_;
  unsigned untried_ = 0;
  std::vector<std::span<const std::byte>> segments_;
  alignas(wire::lane_unit) std::array<std::byte, wire::inline_limit> arguments_copy_{};
};

// Everything is mapped or in place when this returns, and no descriptor of ours is left.
loop& make_loop(birth born, const spec& told, runtime& language) {
  auto lane = wire::worker_lane::open(born.lane);
  auto arguments = wire::argument_view::open(born.arguments, told.pages);
  auto results = wire::worker_results::open(born.results, told.pages);
  if (!lane || !arguments || !results) end(exit_code::no_lane);
  // Never destroyed: the process ends by _exit, and threads of jobs may still use it.
  auto* const made =
      new loop{std::move(*lane), std::move(*arguments), std::move(*results), told, language};
  // The address space that is ours and not the job's.
  const std::size_t reserved = sizeof(wire::lane_layout) + made->reserved_by_arenas();
  const auto failure = apply(told.environment,
                             {.standard_output = std::move(born.standard_output),
                              .standard_error = std::move(born.standard_error)},
                             reserved);
  if (failure) made->give_up(*failure);
  return *made;
}

}  // namespace

void serve(birth born, runtime& language) {
  // What the host had not yet written when it was forked is the host's to write.
  __fpurge(stdout);
  __fpurge(stderr);
  const auto told = read_spec(born.spec);
  if (!told) end(exit_code::no_lane);
  try {
    // In a statement of its own: what was born ends with it, long before run() does.
    loop& worker = make_loop(std::move(born), *told, language);
    worker.run(*told);
  } catch (...) {
    // The thread that runs jobs is being ended: by pthread_exit, since a runtime lets nothing else
    // out. The process would live on with its other threads, and nobody would know.
    end(exit_code::thread_exited);
  }
}

void enter(birth born, runtime& language) {
  serve(std::move(born), language);
  end(exit_code::left);
}

void enter(birth born) {
  static auto* const language = new cpp_runtime;
  enter(std::move(born), *language);
}

}  // namespace hardstop::worker
