// A process that a test of queues has started, or the test.
#include <gtest/gtest.h>

#include "support/other_process.hpp"

int main(int argc, char** argv) {
  if (const auto code = support::play_part(argc, argv)) return *code;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
