// What every worker of a pool is told once: how its process should look, and what to run before the
// first job.
//
// A plain struct, written by the client into a sealed memory file and read by each worker. Paths,
// variables and the like are resolved in the worker.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "os/descriptor.hpp"
#include "os/error.hpp"
#include "wire/frame.hpp"
#include "wire/sparse_memory.hpp"

namespace hardstop::worker {

enum class stream : std::uint8_t {
  inherit,
  null,     // /dev/null
  capture,  // output only: into the memory file that came with the birth
};

struct resource_limit {
  int resource = 0;
  std::uint64_t soft = 0;  // RLIM_INFINITY: none
  std::uint64_t hard = 0;
};

struct environment {
  stream standard_input = stream::null;
  stream standard_output = stream::inherit;
  stream standard_error = stream::inherit;
  bool inherit_variables = true;
  std::vector<std::pair<std::string, std::optional<std::string>>> variables{};  // no value: unset
  std::string working_directory{};                                              // empty: as it is
  std::optional<mode_t> umask{};
  std::optional<int> nice{};  // added to the present value
  std::vector<int> affinity{};
  // RLIMIT_AS is raised by the address space that the lane and the arenas reserve, so that the
  // number given limits the job's own memory.
  std::vector<resource_limit> limits{};
  bool reset_signals = true;  // empty mask, default dispositions
};

struct spec {
  worker::environment environment{};

  // Run before ready; nothing if the module is 0. What it throws comes back as start_failed.
  wire::function_id initializer{};
  std::vector<std::byte> initializer_arguments{};

  wire::page_choice pages = wire::page_choice::normal;

  // A value above which a worker asks to be replaced: zombies that its jobs left behind and that
  // nobody may reap but their parents.
  std::uint32_t most_zombies = 64;

  // Another runtime's own bytes.
  std::vector<std::byte> runtime{};
};

// Into a sealed memory file, once per pool.
os::result<os::descriptor> write_spec(const spec&);

// Out of it again; an error says what is wrong with the bytes.
os::result<spec> read_spec(const os::descriptor& file);

// The bytes alone, for other ways to travel.
std::vector<std::byte> encode_spec(const spec&);
os::result<spec> decode_spec(std::span<const std::byte> bytes);

}  // namespace hardstop::worker
