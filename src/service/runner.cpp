#include "service/runner.hpp"

#include <utility>

#include <hardstop/detail/submitting.hpp>
#include <hardstop/errors.hpp>

namespace hardstop::serving {

namespace {

void do_nothing() {}

}  // namespace

function_runner::function_runner(pool_options options)
    : options_(std::move(options)), pool_(options_) {}

void function_runner::add(std::string name, const service_job_options& how,
                          detail::message_submitter submit) {
  if (name.empty()) throw bad_options("a job's name is empty: give it one");
  validate(job_options{.timeout = how.timeout, .grace = how.grace, .max_memory = how.max_memory});
  const auto [at, fresh] = jobs_.emplace(std::move(name), registered{how, submit});
  if (!fresh) {
    throw bad_options("a job named '" + at->first + "' is registered already: name each once");
  }
}

// A job that does nothing, to the end: the fork of this process happens here, before other threads
// have anything to do with files, and a pool that cannot start is told before anything is taken.
void function_runner::open() {
  const auto first = detail::submit_job<&do_nothing>(pool_, {.name = "first"});
  static_cast<void>(first.wait_until(std::nullopt));
  detail::take_result<void>(first);
}

detail::job_handle function_runner::start(const taken_job& job, const std::string& tmpdir) {
  const auto found = jobs_.find(job.message.name);
  if (found == jobs_.end()) {
    std::string known;
    for (const auto& [name, _] : jobs_)
      known += (known.empty() ? "" : ", ") + name;
    throw message_refused("no job is named '" + job.message.name +
                          "' here; registered are: " + (known.empty() ? "none" : known));
  }
  const service_job_options& how = found->second.how;
  const job_options options{.timeout = job.timeout ? job.timeout : how.timeout,
                            .grace = job.grace.value_or(how.grace),
                            .max_memory = how.max_memory,
                            .name = job.message.name};
  return found->second.submit(pool_, options, job.message, tmpdir);
}

std::chrono::nanoseconds function_runner::grace_of(const taken_job& job) const {
  if (job.grace) return *job.grace;
  const auto found = jobs_.find(job.message.name);
  return found == jobs_.end() ? std::chrono::nanoseconds::zero() : found->second.how.grace;
}

void function_runner::close(std::chrono::nanoseconds within) {
  pool_.shutdown({.wait = true, .cancel_pending = true, .timeout = within});
}

std::optional<pool_stats> function_runner::stats() const {
  return pool_.stats();
}

}  // namespace hardstop::serving
