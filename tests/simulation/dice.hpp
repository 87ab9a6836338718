// All the chance there is in a history: one generator, one seed, the same history again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace hardstop::simulation {

class dice {
 public:
  explicit dice(std::uint64_t seed) : generator_(seed) {}

  // Both ends included. Not a standard distribution: those differ between libraries, and a seed is
  // to replay.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + generator_() % (high - low + 1);
  }

  bool chance(double probability) {
    return static_cast<double>(generator_() >> 11) * 0x1.0p-53 < probability;
  }

  std::size_t index(std::size_t size) { return static_cast<std::size_t>(between(0, size - 1)); }

  template <class T>
  T& pick(std::vector<T>& from) {
    return from[index(from.size())];
  }

 private:
  std::mt19937_64 generator_;
};

}  // namespace hardstop::simulation
