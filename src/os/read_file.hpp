// Reading small files of /proc and /sys whole.
#pragma once

#include <string>

#include "os/error.hpp"

namespace hardstop::os {

// `directory`: as for openat, AT_FDCWD for plain paths.
[[nodiscard]] result<std::string> read_file(int directory, const char* path);
[[nodiscard]] result<std::string> read_file(const char* path);

// Writes the text in one call, as control files want it.
result<void> write_file(const char* path, const std::string& text);

}  // namespace hardstop::os
