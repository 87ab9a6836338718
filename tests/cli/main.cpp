// A process that `hardstop run` has started as part of a test, or the test.
#include <gtest/gtest.h>

#include "support/other_process.hpp"

int main(int argc, char** argv) {
  if (const auto code = support::play_part(argc, argv)) return *code;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
