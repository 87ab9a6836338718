// What the guardians of C++ pools run.
#pragma once

#include <memory>
#include <string>

namespace hardstop::engine {

class worker_language;

// This program, executed again for forkserver and spawn.
std::shared_ptr<worker_language> cpp_workers();

// GLIBC_TUNABLES with huge pages for malloc added to what the host has there.
std::string tunables_with_huge_pages();

}  // namespace hardstop::engine
