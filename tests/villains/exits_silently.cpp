// A job that exits as if all were well, in the middle of its work.
#include <unistd.h>

#include <cstdlib>

#include "villains/driver.hpp"

namespace {

int exits_silently(villains::lair_ref ref) {
  (void)ref.join();
  if (::fork() == 0) villains::linger();
  ::exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&exits_silently>(
      argc, argv, {.stops = {villains::stop::itself}, .expected = villains::died_by_exit(0)});
}
