// What every worker of a pool runs before its first job.
#pragma once

#include <cstddef>
#include <vector>

#include <hardstop/detail/call.hpp>

namespace hardstop {

/// A function and its arguments, ready to travel. Made by hardstop::initialize_with<&fn>(args…) in
/// <hardstop/pool.hpp>; an empty one does nothing.
struct initializer {
  detail::thunk function = nullptr;
  std::vector<std::byte> arguments{};

  explicit operator bool() const noexcept { return function != nullptr; }
};

}  // namespace hardstop
