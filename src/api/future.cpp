#include <hardstop/future.hpp>

namespace hardstop::detail {

void throw_invalid_future() {
  throw invalid_future(
      "this future has no job: it was moved from, or get() has taken its result already");
}

void check_grace(std::optional<std::chrono::nanoseconds> grace) {
  if (grace && *grace < std::chrono::nanoseconds::zero()) {
    throw bad_options("grace = " + to_string(*grace) +
                      ": a time cannot be negative; zero kills at once");
  }
}

void stop_link::canceller::operator()() const noexcept {
  try {
    job.cancel(mode, grace);
  } catch (const error&) {
    // A forked child: the job is not its own to stop, and the token's owner not the one to tell.
  }
}

}  // namespace hardstop::detail
