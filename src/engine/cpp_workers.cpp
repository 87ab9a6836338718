#include "engine/cpp_workers.hpp"

#include <cstdlib>

#include "engine/worker_language.hpp"
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

cpp_hooks& hooks_of_cpp() {
  // Never destroyed: a forked worker runs no static destructors, and a guardian may outlive the
  // host's.
  static auto* const hooks = new cpp_hooks();
  return *hooks;
}

class cpp_language final : public worker_language {
 public:
  guardian::guardian_hooks& hooks() override { return hooks_of_cpp(); }

  std::vector<std::string> program() override { return {"/proc/self/exe"}; }
};

}  // namespace

std::shared_ptr<worker_language> cpp_workers() {
  return std::make_shared<cpp_language>();
}

std::string tunables_with_huge_pages() {
  const char* present = std::getenv("GLIBC_TUNABLES");
  std::string tunables = present == nullptr ? "" : std::string(present) + ":";
  return tunables + "glibc.malloc.hugetlb=1";
}

}  // namespace engine

void init(int argc, char** argv) {
  if (guardian::role_of_this_process(argc, argv) != guardian::process_role::client) {
    guardian::serve(engine::hooks_of_cpp());
  }
}

}  // namespace hardstop
