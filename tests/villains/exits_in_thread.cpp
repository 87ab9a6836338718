// A job in one of whose threads somebody calls _exit.
#include <unistd.h>

#include <thread>

#include "villains/driver.hpp"

namespace {

int exits_in_thread(villains::lair_ref ref) {
  (void)ref.join();
  std::thread([] { ::_exit(3); }).detach();
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&exits_in_thread>(
      argc, argv, {.stops = {villains::stop::itself}, .expected = villains::died_by_exit(3)});
}
