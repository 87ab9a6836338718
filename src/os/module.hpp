// Where a function lives, told so that another process can find it: (module, offset) in place of an
// address.
//
// A module is a program or shared library as mapped by the dynamic loader; its key comes from its
// build-id, so that two processes agree on it exactly if they run the same build. Thread-safe; a
// module already known is found without a lock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace hardstop::os {

struct code_location {
  std::uint64_t module = 0;  // never 0 for a location that was found
  std::uint64_t offset = 0;  // from the module's load address

  friend bool operator==(const code_location&, const code_location&) = default;
};

// The location of a function, or nothing if no module of the loader contains the address (made at
// run time by a JIT compiler).
std::optional<code_location> locate(const void* function);

// Whether a module's key means the same in a process that was exec'd. A module linked without a
// build-id (-Wl,--build-id=none) is named by where it is mapped, which only holds for forked
// processes.
bool travels_by_exec(std::uint64_t module);

// The function at a location, or nullptr if this process has no such module or the offset is not
// within its code: a different build, or a library not loaded here.
const void* resolve(const code_location& location);

// For the error message when resolve() found nothing: which build-id was asked for, what this
// program is and what to do.
std::string describe_unresolved(const code_location& location);

// The build-id of this program as the module key sees it, to compare two programs early: 0 without
// one.
std::uint64_t program_key();

}  // namespace hardstop::os
