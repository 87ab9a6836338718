// What a user would otherwise write: a process for each job.
#include <unistd.h>

#include <cstdint>

#include "cell.hpp"
#include "cells.hpp"
#include "child.hpp"
#include "samples.hpp"

#ifdef HARDSTOP_BENCH_BOOST_PROCESS
#include <boost/asio/io_context.hpp>
#include <boost/process/v2/process.hpp>
#endif

namespace bench {

namespace {

template <class Job>
figures measure(effort how_much, Job job) {
  const int rounds = times(how_much, 20, 500);
  samples taken(static_cast<std::size_t>(rounds));
  for (int i = -5; i < rounds; ++i) {
    const std::int64_t began = now_ns();
    job();
    if (i >= 0) taken.add(now_ns() - began);
  }
  figures found;
  taken.tell(found);
  return found;
}

}  // namespace

// A child computes nothing, writes its result to a pipe and is reaped.
figures per_job_fork(effort how_much) {
  int ends[2];
  if (pipe(ends) != 0) throw wrong("pipe");
  return measure(how_much, [&] {
    child one([&] {
      const int result = 7;
      static_cast<void>(!write(ends[1], &result, sizeof result));
    });
    int result = 0;
    if (read(ends[0], &result, sizeof result) != sizeof result) throw wrong("no result");
    one.reap();
  });
}

// The smallest program there is, which has no result but its exit code.
figures per_job_boost([[maybe_unused]] effort how_much) {
#ifdef HARDSTOP_BENCH_BOOST_PROCESS
  boost::asio::io_context context;
  return measure(how_much, [&] {
    boost::process::v2::process one(context, "/bin/true", {});
    if (one.wait() != 0) throw wrong("/bin/true failed");
  });
#else
  throw skipped("built without Boost.Process v2 (Boost 1.80 or later, with Filesystem and System)");
#endif
}

}  // namespace bench
