#include "service/queue/checks.hpp"

#include <string>
#include <string_view>

#include "service/queue/message_check.hpp"
#include <hardstop/errors.hpp>

namespace hardstop::storage {
namespace {

using std::chrono::nanoseconds;

// Longer than any process lives, and far from where sums of times overflow.
constexpr nanoseconds longest = std::chrono::hours(24 * 365 * 100);

[[noreturn, gnu::cold]] void refuse(std::string_view member, const std::string& value,
                                    std::string_view cure) {
  throw bad_options(std::string{member} + " = " + value + ": " + std::string{cure});
}

std::string shown(nanoseconds span) {
  return std::to_string(std::chrono::duration<double>(span).count()) + " s";
}

void require_span(std::string_view member, nanoseconds span) {
  if (span < nanoseconds::zero()) refuse(member, shown(span), "a time cannot be negative");
  if (span > longest) refuse(member, shown(span), "at most a hundred years");
}

void require_some(std::string_view member, nanoseconds span, std::string_view cure) {
  require_span(member, span);
  if (span == nanoseconds::zero()) refuse(member, shown(span), cure);
}

void require_attempts(unsigned attempts) {
  if (attempts == 0) {
    refuse("max_attempts", "0", "a job has at least one attempt; 1 means that it is never retried");
  }
}

}  // namespace

void validate(const queue_options& options) {
  require_some("lease", options.lease,
               "a lease lasts for a while; some seconds, since it is extended as long as its job "
               "runs");
  require_span("keep_done", options.keep_done);
  require_span("busy_timeout", options.busy_timeout);
}

void validate(const memory_queue_options& options) {
  require_attempts(options.max_attempts);
  require_some("lease", options.lease, "a lease lasts for a while");
}

void validate(const enqueue_options& options) {
  require_attempts(options.max_attempts);
  require_span("delay", options.delay);
  require_span("back_off", options.back_off);
  require_span("max_back_off", options.max_back_off);
  if (options.timeout) {
    require_some("timeout", *options.timeout, "leave it unset for what the service says");
  }
  if (options.grace) require_span("grace", *options.grace);
  if (options.unique.size() > longest_key) {
    refuse("unique", "a key of " + std::to_string(options.unique.size()) + " bytes",
           "at most 1000; take a hash of it");
  }
}

void validate(const job_message& message) {
  if (const auto why = why_no_job(message.name, message.format, message.arguments)) {
    throw message_refused("a job \"" + message.name.substr(0, longest_name) +
                          "\" cannot be enqueued: " + *why);
  }
}

}  // namespace hardstop::storage
