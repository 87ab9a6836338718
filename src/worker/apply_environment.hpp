// Makes the worker's process look as the pool's options say.
#pragma once

#include <cstddef>
#include <optional>

#include "os/descriptor.hpp"
#include "wire/failure.hpp"
#include "worker/spec.hpp"

namespace hardstop::worker {

struct capture_files {
  std::optional<os::descriptor> standard_output;
  std::optional<os::descriptor> standard_error;
};

// Applies it to this process, which must have one thread. What cannot be done ends in a failure
// that names the option; a worker that is not as it was ordered runs no job. `reserved` bytes of
// address space are added to a limit on it.
std::optional<wire::failure> apply(const environment&, const capture_files&, std::size_t reserved);

}  // namespace hardstop::worker
