// A job that computes for ever and never looks up.
#include "villains/driver.hpp"

namespace {

int busy_loop(villains::lair_ref ref) {
  auto& lair = ref.join();
  lair.at_its_worst.set(1);
  for (volatile unsigned count = 0;;)
    count = count + 1;
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&busy_loop>(
      argc, argv,
      {.stops = {villains::stop::kill, villains::stop::grace, villains::stop::timeout}});
}
