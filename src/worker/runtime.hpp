// The language a worker speaks: C++ here, Python in its package. The loop (loop.hpp) knows nothing
// of either.
//
// All members are called by the one thread that runs the loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "wire/client_words.hpp"
#include "wire/failure.hpp"
#include "wire/frame.hpp"
#include "worker/spec.hpp"

namespace hardstop::worker {

// One attempt on its way in. Trusted: only the client can have written it. Readable until execute()
// returns.
struct job_view {
  wire::ticket ticket = wire::ticket::none;
  wire::function_id function{};
  std::uint8_t attempt = 0;              // from 1; 255: so many or more
  std::span<const std::byte> payload{};  // aligned to 16 bytes, or to the page
  // Resolved to memory: read-only, aligned to the page.
  std::span<const std::span<const std::byte>> segments{};
};

// Where the result of one attempt goes. It is published when execute() returns, not before;
// whatever stands in it then is what the client gets: exactly one end for each attempt (G1).
class job_output {
 public:
  // Appends to the payload of the result.
  virtual void write(std::span<const std::byte> bytes) = 0;

  // Room for one more segment in shared memory, to be filled in place; aligned to the page. Waits
  // when very many results are alive (wire/results.hpp). Nothing when memory or address space is
  // lacking, or the result has wire::max_ranges - 1 segments already.
  virtual std::optional<std::span<std::byte>> new_segment(std::size_t length) = 0;

  // Forgets what was written and segments made.
  virtual void clear() = 0;

  // Value unless said otherwise. Does not clear.
  virtual void set_kind(wire::report_kind kind) = 0;
  virtual void set_runtime_flags(std::uint8_t flags) = 0;

  // Sends a report of kind progress or query at once. Any thread of the worker may call it, also
  // when the attempt is over: then, and when there is no room now, it is false and nothing is sent
  // (progress is better dropped than waited for). The object lives as long as the process.
  virtual bool send(wire::ticket attempt, wire::report_kind kind,
                    std::span<const std::byte> bytes) = 0;

 protected:
  ~job_output() = default;
};

class runtime {
 public:
  runtime() = default;
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;
  virtual ~runtime() = default;

  // Runs the initializer. A failure: the client gets it, and the worker ends. The
  // words of the client that concern jobs (who is asked to stop) stay valid for the process's life.
  virtual std::optional<wire::failure> start(const spec&, const wire::client_words&) = 0;

  // Runs one attempt. Whatever goes wrong is written to the output as an exception: nothing may be
  // thrown from here but a forced unwind (pthread_exit), which ends the worker.
  virtual void execute(const job_view&, job_output&) = 0;

  // Around every sleep of the loop: the place to let other threads run (the GIL). Sleeps are
  // preceded by spinning for some microseconds, without these.
  virtual void before_sleep() {}

  virtual void after_sleep() {}

  // Between two jobs: whether the worker should be replaced, for instance because it has grown.
  virtual bool should_retire() { return false; }

  // The worker was asked to leave and will _exit: flush what the jobs wrote.
  virtual void leave() {}
};

}  // namespace hardstop::worker
