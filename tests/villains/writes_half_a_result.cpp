// A job that dies half-way through writing its result: what was written is none (G1).
#include <signal.h>
#include <unistd.h>

#include <cstdint>

#include "villains/driver.hpp"

struct half_written {
  std::uint64_t number = 0;
};

template <>
struct hardstop::codec<half_written> {
  static void write(hardstop::writer& out, const half_written& value) {
    out(value.number);
    ::kill(::getpid(), SIGKILL);
  }

  static half_written read(hardstop::reader& in) { return {in.read<std::uint64_t>()}; }
};

namespace {

half_written writes_half_a_result(villains::lair_ref ref) {
  (void)ref.join();
  return {.number = 1};
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&writes_half_a_result>(
      argc, argv,
      {.stops = {villains::stop::itself}, .expected = villains::died_by_signal(SIGKILL)});
}
