// A job that closes every descriptor of its process, ours included, and computes on.
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

int closes_descriptors(villains::lair_ref ref) {
  auto& lair = ref.join();
  ::close_range(0, ~0U, 0);
  lair.at_its_worst.set(1);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&closes_descriptors>(argc, argv, {});
}
