// A job that fills what it shares with its client with garbage and does not cease (G12). Its worker
// may be killed for that, or it is stopped in the end; the client must live.
#include "villains/driver.hpp"
#include "villains/shared_pages.hpp"

namespace {

int scribbles_on_lane(villains::lair_ref ref) {
  auto& lair = ref.join();
  lair.at_its_worst.set(1);  // it may be found out before the first time is over
  for (unsigned seed = 1;; ++seed)
    villains::scribble(seed);
}

}  // namespace

int main(int argc, char** argv) {
  return villains::drive<&scribbles_on_lane>(argc, argv, {.may_be_found_out = true});
}
