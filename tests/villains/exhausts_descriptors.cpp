// A job that takes every descriptor it can get, in itself and in a child.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "villains/driver.hpp"

namespace {

void take_all() {
  while (::open("/dev/null", O_RDONLY) >= 0) {
  }
}

int exhausts_descriptors(villains::lair_ref ref) {
  auto& lair = ref.join();
  const rlimit bounded{.rlim_cur = 4096, .rlim_max = 4096};
  ::setrlimit(RLIMIT_NOFILE, &bounded);
  take_all();
  if (::fork() == 0) villains::linger();
  lair.at_its_worst.set(1);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&exhausts_descriptors>(argc, argv, {.processes = 2});
}
