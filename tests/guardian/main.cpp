// The test program is its own fresh image for forkserver and spawn.
#include <unistd.h>

#include <string_view>

#include <gtest/gtest.h>

#include "guardian/role.hpp"
#include "guardian/test_pool.hpp"

int main(int argc, char** argv) {
  using namespace hardstop;
  if (guardian::role_of_this_process(argc, argv) != guardian::process_role::client) {
    guardian::serve(test::hooks());
  }
  if (argc == 2 && argv[1] == std::string_view{test::become_root_argument}) {
    if (::setresuid(0, 0, 0) != 0) return 1;
    (void)!::write(STDOUT_FILENO, "!", 1);
    return static_cast<int>(::sleep(60));
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
