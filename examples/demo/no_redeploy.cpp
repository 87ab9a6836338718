// In place of the redeploy, where hardstop is built without services.
#include "redeploy.hpp"

namespace demo {

bool redeploy(screen& out) {
  out.begin_act("a redeploy");
  out.line("skipped", "hardstop was built without services");
  return true;
}

int serve(const std::string& /*folder*/) {
  return 1;
}

}  // namespace demo
