#include "hardstop/version.hpp"

// Two steps, because a macro's value is only seen when it passes through another macro.
#define HARDSTOP_QUOTED(x) #x
#define HARDSTOP_JOINED(major, minor, patch) \
  HARDSTOP_QUOTED(major) "." HARDSTOP_QUOTED(minor) "." HARDSTOP_QUOTED(patch)

namespace hardstop {

std::string_view version() noexcept {
  return HARDSTOP_JOINED(HARDSTOP_VERSION_MAJOR, HARDSTOP_VERSION_MINOR, HARDSTOP_VERSION_PATCH);
}

}  // namespace hardstop
