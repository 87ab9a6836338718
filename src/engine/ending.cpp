// How a job ended, in the words its holder gets: from the scheduler's ending, the worker's last
// report and the guardian's account of a death. Under the engine's lock; only what is not a plain
// value costs an allocation.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <string>

#include "engine/engine.hpp"
#include "engine/scheduled.hpp"
#include "wire/failure.hpp"
#include "worker/exit_code.hpp"

namespace hardstop::engine {

namespace {

constexpr std::size_t most_output = 64 * 1024;  // told in outcome::output()

std::string read_file(const os::descriptor& file, std::uint64_t from, std::uint64_t to) {
  if (!file || to <= from || to == wire::captured_output::lost) return {};
  from = std::max(from, to > most_output ? to - most_output : 0);
  std::string text(to - from, '\0');
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), static_cast<off_t>(from));
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

std::uint64_t size_of(const os::descriptor& file) {
  const off_t end = file ? ::lseek(file.get(), 0, SEEK_END) : 0;
  return end > 0 ? static_cast<std::uint64_t>(end) : 0;
}

// What the attempt wrote since the one before it; a dead worker's up to the files' ends.
void read_output(captures& from, const std::optional<wire::captured_output>& ends,
                 outcome::facts& into) {
  if (!from.output && !from.error) return;
  const std::uint64_t out_end = ends ? ends->out_end : size_of(from.output);
  const std::uint64_t error_end = ends ? ends->err_end : size_of(from.error);
  into.output = read_file(from.output, from.output_read, out_end);
  into.error_output = read_file(from.error, from.error_read, error_end);
  from.output_read = out_end;
  from.error_read = error_end;
}

std::string likely_cause(const schedule::death& how, const worker& at, const wire::gone* account,
                         schedule::stop_reason reason) {
  if (reason == schedule::stop_reason::garbage) {
    return "it wrote over the memory it shares with the pool (" + at.last_words +
           ") and was killed";
  }
  if (how.guardian_lost)
    return "the pool's guardian process was killed or hung, and its workers with it";
  if (account != nullptr && account->oom_kills > 0)
    return "killed by the kernel: its cgroup was out of memory";
  if (how.signal == SIGKILL) return "a SIGKILL from outside, possibly the kernel's OOM killer";
  if (how.signal == SIGSEGV || how.signal == SIGBUS)
    return "a crash: it touched memory that is not there";
  if (how.signal == SIGABRT)
    return "it called abort(), as failed assertions and uncaught exceptions in threads do";
  if (how.signal == SIGFPE || how.signal == SIGILL) return "a crash";
  if (how.signal == SIGSYS) return "a system call that a seccomp filter forbids";
  if (how.signal == SIGXCPU || how.signal == SIGXFSZ) return "a resource limit of the worker";
  if (how.signal != 0) return "a signal that nobody in the pool sent";
  switch (static_cast<hardstop::worker::exit_code>(how.exit_code)) {
    case hardstop::worker::exit_code::thread_exited:
      return "the job ended the thread that runs jobs (pthread_exit)";
    case hardstop::worker::exit_code::lane_corrupt:
      return "the job wrote over the worker's own memory";
    case hardstop::worker::exit_code::not_the_worker:
    case hardstop::worker::exit_code::start_failed:
    case hardstop::worker::exit_code::no_lane:
    case hardstop::worker::exit_code::left:
      break;
  }
  return "the job called exit()";
}

outcome::cancelled cancelled_as(const schedule::ending& how) {
  return {.how = how.started ? outcome::cancelled::extent::killed
                             : outcome::cancelled::extent::never_started,
          .by = how.reason == schedule::stop_reason::shutdown ? outcome::cancelled::source::shutdown
                                                              : outcome::cancelled::source::caller};
}

outcome::worker_died died_as(const schedule::death& death) {
  outcome::worker_died died;
  if (death.signal != 0) {
    died.signal = death.signal;
  } else if (death.exit_code >= 0) {
    died.exit_code = death.exit_code;
  }
  died.core_dumped = death.core_dumped;
  died.peak_memory = death.peak_memory;
  died.cpu_time = death.cpu_time;
  return died;
}

outcome::not_started not_started_as(const schedule::ending& how, const pool& home) {
  if (how.why == schedule::why_not_started::shutdown) {
    return {.why = outcome::not_started::cause::shutdown,
            .reason = "pool '" + home.name + "' was shut down first"};
  }
  return {.why = outcome::not_started::cause::pool_broken, .reason = home.broken_reason};
}

}  // namespace

void engine::count_end(job& which) {
  auto& ended = ours(*which.pool).numbers.ended;
  switch (which.kind) {
    case outcome_kind::value:
      ++ended.value;
      break;
    case outcome_kind::exception:
      ++ended.exception;
      break;
    case outcome_kind::cancelled:
      ++ended.cancelled;
      break;
    case outcome_kind::timed_out:
      ++ended.timed_out;
      break;
    case outcome_kind::worker_died:
      ++ended.worker_died;
      break;
    case outcome_kind::memory_limit:
      ++ended.memory_limit;
      break;
    case outcome_kind::not_started:
      ++ended.not_started;
      break;
  }
}

outcome::facts engine::facts_of(const job& which) {
  outcome::facts known;
  known.job = which.name();
  known.pid = which.pid;
  known.attempt = which.attempt;
  known.ran_for = which.ran_for;
  known.cancel =
      which.cancel_came_late ? cancel_answer::finished_first : cancel_answer::not_requested;
  return known;
}

void engine::take_result(job& which) {
  worker& at = *current_.at;
  const wire::lane_report& report = *current_.report;
  pool& home = ours(*which.pool);

  auto began = std::max(which.dispatched_at, at.last_end);
  if (which.stamped) {
    // Written by the worker: true only within what is possible (G12).
    if (report.claimed_at) {
      began = std::clamp(os::from_nanoseconds(*report.claimed_at), which.dispatched_at,
                         std::max(current_.now, which.dispatched_at));
    }
    home.numbers.dispatch.record(began - which.submitted_at);
  }
  which.ran_for = current_.now - std::min(began, current_.now);

  if (which.extra() != nullptr) {
    auto& large_in = which.extra()->large_in;
    // A child of the attempt may still read the arguments: they are not used again before the tree
    // is gone.
    if (large_in && report.forked == wire::forked::yes) at.retired.push_back(std::move(large_in));
    large_in.reset();
  }

  if (report.kind == wire::report_kind::exception) {
    which.kind = outcome_kind::exception;
    const worker_language& language = *home.language;
    const bool large = current_.large && current_.large->has_payload();
    auto failure = language.read_failure(large ? current_.large->payload() : report.payload);
    if (!failure)
      failure =
          wire::failure{.type = "unknown", .what = "the worker's account of it cannot be read"};
    which.bytes.clear();
    if (language.keeps_exceptions()) {
      which.bytes.assign(report.payload);
      which.make_extra().large_out = std::move(current_.large);
    }
    outcome::facts known = facts_of(which);
    read_output(at.captured, report.captured, known);
    which.make_extra().ended = std::make_unique<outcome>(
        std::move(known),
        outcome::exception{.type = std::move(failure->type), .what = std::move(failure->what)});
    return;
  }

  which.kind = outcome_kind::value;
  which.bytes.assign(report.payload);
  if (current_.large) which.make_extra().large_out = std::move(current_.large);
  if (report.captured) {
    outcome::facts known = facts_of(which);
    read_output(at.captured, report.captured, known);
    which.make_extra().ended = std::make_unique<outcome>(std::move(known), outcome::value{});
  }
}

void engine::describe_end(job& which, const schedule::ending& how) {
  worker* at = current_.at;
  which.bytes.clear();
  if (which.extra() != nullptr) which.extra()->large_in.reset();
  if (how.started && which.started_at != schedule::never) {
    const auto stopped = at != nullptr && at->killed ? at->killed_at : current_.now;
    which.ran_for = std::max(nanoseconds{0}, nanoseconds(stopped - which.started_at));
  }

  outcome::facts known = facts_of(which);
  if (!how.started) known.pid = 0;
  if (which.cancel_requested || how.kind == schedule::end_kind::cancelled) {
    known.cancel = how.started ? cancel_answer::killed : cancel_answer::never_started;
  }
  if (const auto& death = how.worker_death) {
    known.processes_stopped = death->processes;
    if (death->unconfirmed_pid != 0) {
      known.unconfirmed = unconfirmed{death->unconfirmed_pid, death->unconfirmed_reason};
    }
  }
  const bool limited =
      how.kind == schedule::end_kind::timed_out || how.kind == schedule::end_kind::memory_limit;
  if (at != nullptr && limited) known.stack = std::move(at->last_words);
  if (at != nullptr && how.started) read_output(at->captured, std::nullopt, known);

  auto alternative = alternative_of(which, how);
  hardstop::outcome end(std::move(known), std::move(alternative));
  which.kind = end.kind();
  which.make_extra().ended = std::make_unique<outcome>(std::move(end));
}

outcome::alternatives engine::alternative_of(const job& which, const schedule::ending& how) const {
  const worker* at = current_.at;
  switch (how.kind) {
    case schedule::end_kind::finished:
      break;  // take_result()'s
    case schedule::end_kind::cancelled:
      return cancelled_as(how);
    case schedule::end_kind::timed_out:
      return outcome::timed_out{.limit = which.timeout};
    case schedule::end_kind::memory_limit:
      return outcome::memory_limit{.limit = which.max_memory(),
                                   .used = at != nullptr ? at->memory_seen : 0};
    case schedule::end_kind::worker_died: {
      outcome::worker_died died = died_as(how.worker_death.value_or(schedule::death{}));
      if (at != nullptr && how.worker_death) {
        died.likely_cause = likely_cause(*how.worker_death, *at, current_.gone, how.reason);
      }
      return died;
    }
    case schedule::end_kind::not_started:
      return not_started_as(how, *static_cast<const pool*>(which.pool));
  }
  return outcome::value{};
}

}  // namespace hardstop::engine
