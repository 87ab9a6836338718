// The loop inside a worker: claim a frame, run it, publish its end, sleep when there is nothing.
//
// Who runs it: the first thread of a worker process, from birth to the end. Other threads in the
// process are the job's, but for the one that listens for requests to stop (stop_listener.hpp),
// which starts when a job first asks for a stop token. What survives a SIGKILL: the lane, see
// wire/client_lane.hpp. The job may do to this process what it likes (exit, abort, close every
// descriptor, fork and return): the engine sees its worker die or go on, and nothing else.
#pragma once

#include <optional>

#include "os/descriptor.hpp"
#include "worker/exit_code.hpp"
#include "worker/runtime.hpp"

namespace hardstop::worker {

// What a worker is born with. The guardian has made the process: its session, its parent-death
// signal, its being a subreaper. All descriptors are closed once they are mapped or in place.
struct birth {
  os::descriptor lane;       // wire::client_lane::memory()
  os::descriptor arguments;  // wire::argument_arena::memory()
  os::descriptor results;    // wire::client_results::memory()
  os::descriptor spec;       // write_spec()
  // Memory files for captured output, opened O_APPEND by the client (make_capture_file()).
  std::optional<os::descriptor> standard_output;
  std::optional<os::descriptor> standard_error;
};

// Becomes the worker. Returns when it was asked to leave and the runtime has left: then all that
// remains to be done is to end the process. Where it cannot go on it leaves by _exit, with an
// exit_code of ours. Expects to be the only thread of the process.
void serve(birth, runtime&);

// The same, and ends the process.
[[noreturn]] void enter(birth, runtime&);

// The same with the C++ runtime.
[[noreturn]] void enter(birth);

// A memory file that takes what a worker writes to one standard stream. The client keeps it, reads
// from where the attempt before ended to where this one did (wire::captured_output), and may punch
// out what it has read.
os::result<os::descriptor> make_capture_file(const char* name);

}  // namespace hardstop::worker
