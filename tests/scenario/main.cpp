// main() of every scenario: a guardian or worker of ours, another process of the test, or the test.
#include <gtest/gtest.h>

#include "support/other_process.hpp"
#include <hardstop/init.hpp>

int main(int argc, char** argv) {
  hardstop::init(argc, argv);
  if (const auto code = support::play_part(argc, argv)) return *code;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
