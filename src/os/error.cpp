#include "os/error.hpp"

#include <system_error>

namespace hardstop::os {

std::string error::message() const {
  return std::string{operation} + ": " + std::generic_category().message(code);
}

}  // namespace hardstop::os
