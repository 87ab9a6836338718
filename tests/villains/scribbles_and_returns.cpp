// A job that fills what it shares with its client with garbage and then returns as if nothing had
// happened (G12): its result is there or its worker is killed, and later jobs run.

#include "villains/driver.hpp"
#include "villains/shared_pages.hpp"

namespace {

int scribbles_and_returns(villains::lair_ref ref) {
  auto& lair = ref.join();
  static unsigned seed = 0;
  villains::scribble(++seed);
  villains::lair_ref::leave(lair);  // should the worker live on, then without the mark
  return 7;
}

std::string value_or_found_out(const hardstop::outcome& end) {
  if (end.is_value() || end.kind() == hardstop::outcome_kind::worker_died) return {};
  return "Expected: a value, or its worker killed.";
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&scribbles_and_returns>(
      argc, argv, {.stops = {10, villains::stop::itself}, .expected = &value_or_found_out});
}
