#include "engine/cpp_workers.hpp"

#include <cstdlib>

#include "guardian/role.hpp"
#include "worker/loop.hpp"
#include <hardstop/init.hpp>

namespace hardstop {

namespace engine {

namespace {

class cpp_hooks final : public guardian::guardian_hooks {
 public:
  [[noreturn]] void run_worker(guardian::worker_birth born) override {
    hardstop::worker::birth birth;
    birth.lane = std::move(born.lane);
    birth.arguments = std::move(born.arguments);
    birth.results = std::move(born.results);
    birth.spec = std::move(born.spec);
    if (born.standard_output) birth.standard_output = std::move(born.standard_output);
    if (born.standard_error) birth.standard_error = std::move(born.standard_error);
    hardstop::worker::enter(std::move(birth));
  }
};

}  // namespace

guardian::guardian_hooks& cpp_workers() {
  // Never destroyed: a forked worker runs no static destructors, and a guardian may outlive the
  // host's.
  static auto* const hooks = new cpp_hooks();
  return *hooks;
}

std::vector<std::string> own_program() {
  return {"/proc/self/exe"};
}

std::string tunables_with_huge_pages() {
  const char* present = std::getenv("GLIBC_TUNABLES");
  std::string tunables = present == nullptr ? "" : std::string(present) + ":";
  return tunables + "glibc.malloc.hugetlb=1";
}

}  // namespace engine

void init(int argc, char** argv) {
  if (guardian::role_of_this_process(argc, argv) != guardian::process_role::client) {
    guardian::serve(engine::cpp_workers());
  }
}

}  // namespace hardstop
