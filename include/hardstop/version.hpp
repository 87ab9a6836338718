// The version of hardstop. This is its only home: the build reads the three numbers from here.
#pragma once

#include <string_view>

#define HARDSTOP_VERSION_MAJOR 0
#define HARDSTOP_VERSION_MINOR 1
#define HARDSTOP_VERSION_PATCH 0

namespace hardstop {

/// The version of the library that was linked, as "major.minor.patch". It differs from the macros
/// above where a program was compiled against other headers than it was linked with.
/// Safe to call from any thread; the text lives as long as the program.
[[nodiscard]] std::string_view version() noexcept;

}  // namespace hardstop
