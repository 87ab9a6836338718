// A job with a child, killed 500 times beside a job with children of its own, which loses none
// (G4). A sweep that took strangers for members of the dead tree would be seen here.
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int one_of_many(villains::lair_ref ref) {
  auto& lair = ref.join();
  if (::fork() == 0) {
    ::setsid();
    lair.at_its_worst.set(1);
    villains::linger();
  }
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&one_of_many>(
      argc, argv,
      {.stops = std::vector<villains::stop>(500, villains::stop::kill), .processes = 2});
}
