// Where a service gets its jobs from: five calls, which a queue of any kind can answer.
//
//   take      jobs, each leased for a time: while the lease holds, nobody else is given them
//   extend    the leases of jobs that still run
//   ack       jobs are done, for good
//   nack      jobs are not: to be tried again, handed back, or put aside with a reason
//   on_cancel somebody wants a job stopped that this service may be running
//
// A lease is known by its job and its number, the attempt. When it has run out the job may be given
// to somebody else, as the next attempt; whatever is then said about the former is refused and
// changes nothing. So a service that was believed dead cannot undo what its successor did. Until it
// is given to somebody else, who is merely late is still heard.
//
// queue.hpp is the one that lives in a file; memory_queue.hpp the one that lives in this process.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <hardstop/message.hpp>

namespace hardstop {

/// One lease of one job of a source. Never given out twice.
struct receipt {
  std::string job{};  ///< the source's own name for it, the same for every attempt
  /// The number of the lease: 1 for a job's first, and more for each that follows. Not the number
  /// of attempts that count against max_attempts, since what was returned does not.
  unsigned attempt = 1;

  friend auto operator<=>(const receipt&, const receipt&) = default;
};

/// A job that a source has handed out.
struct taken_job {
  hardstop::receipt receipt{};
  job_message message{};
  /// When the source may give it to somebody else. Unset: never, as long as this process lives; a
  /// source that gives no leases does not keep what it has handed out.
  std::optional<std::chrono::system_clock::time_point> lease_until{};
  /// Of one attempt, as job_options has them. Unset: what the service says for jobs of that name.
  std::optional<std::chrono::nanoseconds> timeout{};
  std::optional<std::chrono::nanoseconds> grace{};
};

/// What take() gives.
struct taking {
  std::vector<taken_job> jobs{};
  bool exhausted = false;  ///< there will never be any more: the service drains, and ends
};

/// Why a job that was taken is not done.
enum class nack_reason : std::uint8_t {
  failed,     ///< an attempt was made and did not succeed: it counts
  returned,   ///< it never began, or nobody is to blame: it does not count
  cancelled,  ///< stopped because the source asked for it (on_cancel): not to be tried again
  refused,    ///< cannot be run, now or ever, by this service: kept aside, with the reason
};

[[nodiscard]] std::string_view to_string(nack_reason reason) noexcept;

struct nacked_job {
  hardstop::receipt receipt{};
  nack_reason reason = nack_reason::returned;
  std::string text{};  ///< for people: what went wrong
};

/// A source of jobs. One thread of the service calls take() and interrupt() comes from another
/// one; a third calls extend(), ack() and nack(). So take() may run while these do.
///
/// What throws is tried again by the service, later and later, and is logged: a source that is out
/// of reach for a while loses nothing.
class source {
 public:
  source() = default;
  source(const source&) = delete;
  source& operator=(const source&) = delete;
  virtual ~source() = default;

  /// At most so many jobs (at least 1), as soon as there is one; none if it takes longer than
  /// `patience`, or after interrupt().
  virtual taking take(std::size_t at_most, std::chrono::nanoseconds patience) = 0;

  /// A take() that waits should return at once; if none waits, the next one that would. Optional:
  /// then it waits out its patience.
  virtual void interrupt() noexcept {}

  /// Makes leases last as long as fresh ones, from now. Returns those that are lost: run out and
  /// given away, finished or cancelled by others.
  virtual std::vector<receipt> extend(std::span<const receipt> leases) = 0;

  /// Returns those that were refused: not leased to us any more.
  virtual std::vector<receipt> ack(std::span<const receipt> done) = 0;

  /// Returns those that were refused.
  virtual std::vector<receipt> nack(std::span<const nacked_job> jobs) = 0;

  /// Called once, before the first take(): `tell` may be called in any thread, any number of times,
  /// until it is replaced by an empty one (not by `tell` itself); then it must not be called any
  /// more. It must not throw, and may call the source. Told once for each lease of a job that is to
  /// be stopped, whoever has it: what is not here is to be ignored.
  virtual void on_cancel(std::function<void(const receipt&)> tell) = 0;

  /// Where the jobs come from, for the journal: what a person would need to find them again, such
  /// as the path of a file.
  [[nodiscard]] virtual std::string describe() const { return "a source of the program's own"; }

  /// Whether jobs that are not acked come back by themselves. False: what was taken is lost with
  /// this process, but for what its journal says.
  [[nodiscard]] virtual bool leases() const noexcept { return true; }
};

}  // namespace hardstop
