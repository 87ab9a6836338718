// The test program is its own fresh image for forkserver and spawn.
#include <gtest/gtest.h>

#include "guardian/role.hpp"
#include "guardian/test_pool.hpp"

int main(int argc, char** argv) {
  using namespace hardstop;
  if (guardian::role_of_this_process(argc, argv) != guardian::process_role::client) {
    guardian::serve(test::hooks());
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
