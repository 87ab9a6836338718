// Sections of a job that a cancel waits for.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace hardstop {

/// In a job, until the end of the scope:
///
///   {
///     hardstop::shield until_written{2s, "replacing the index"};
///     …
///   }
///
/// A cancel (cancel_mode::ask_then_kill, a stop token that was given to cancel_on, a shutdown's
/// request) that comes meanwhile asks the job to stop, waits until the section ends or this long
/// has passed, and then acts; a grace that is longer is not shortened. cancel_mode::kill, the job's
/// own timeout, its memory limit and a shutdown's time limit do not wait. A section that begins
/// when the grace is over holds nothing. Of nested ones, in whatever thread, the outermost counts.
///
/// pool_stats tells how much time jobs spend in them, and which are in one now, with the reason.
class shield {
 public:
  /// Throws bad_options if the time is not above zero, error outside of a job. The reason is cut
  /// after 200 bytes.
  explicit shield(std::chrono::nanoseconds longest, std::string_view reason = {});
  shield(const shield&) = delete;
  shield& operator=(const shield&) = delete;
  ~shield();

 private:
  std::uint64_t attempt_ = 0;
};

}  // namespace hardstop
