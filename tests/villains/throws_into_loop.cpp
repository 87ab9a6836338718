// A job that forks and whose child throws out of the job while the parent still works (G1).
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

#include "villains/driver.hpp"

namespace {

int throws_into_loop(villains::lair_ref ref) {
  auto& lair = ref.join();
  const pid_t child = ::fork();
  if (child == 0) throw std::runtime_error("from the child");
  if (::waitpid(child, nullptr, 0) != child) return 1;
  lair.at_its_worst.set(1);
  villains::linger();
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&throws_into_loop>(argc, argv, {});
}
