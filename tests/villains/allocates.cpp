// A job that allocates without end. Bounded to four times what it may, should nobody stop it.
#include <cstddef>
#include <cstring>
#include <new>

#include "villains/driver.hpp"

namespace {

constexpr std::size_t allowed = std::size_t{64} << 20;
constexpr std::size_t bound = 4 * allowed;

int allocates(villains::lair_ref ref) {
  auto& lair = ref.join();
  constexpr std::size_t step = std::size_t{1} << 20;
  for (std::size_t taken = 0; taken < bound; taken += step) {
    std::memset(::operator new(step), 1, step);
  }
  lair.at_its_worst.set(1);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&allocates>(
      argc, argv,
      {.stops = {villains::stop::itself},
       .expected = villains::has_kind(hardstop::outcome_kind::memory_limit),
       .max_memory = allowed});
}
