// What the guardians of C++ pools run.
#pragma once

#include <string>
#include <vector>

#include "guardian/hooks.hpp"

namespace hardstop::engine {

guardian::guardian_hooks& cpp_workers();

// How this program is executed again, for forkserver and spawn.
std::vector<std::string> own_program();

// GLIBC_TUNABLES with huge pages for malloc added to what the host has there.
std::string tunables_with_huge_pages();

}  // namespace hardstop::engine
