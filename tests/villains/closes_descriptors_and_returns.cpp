// A job that closes every descriptor of its process and returns: its result needs none (G1).
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int closes_descriptors_and_returns(villains::lair_ref ref) {
  auto& lair = ref.join();
  ::close_range(0, ~0U, 0);
  lair.at_its_worst.set(1);
  // So that the next job does not stand here with the villain's mark.
  villains::lair_ref::leave(lair);
  return 7;
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&closes_descriptors_and_returns>(
      argc, argv,
      {.stops = {villains::stop::itself},
       .expected = villains::has_kind(hardstop::outcome_kind::value)});
}
