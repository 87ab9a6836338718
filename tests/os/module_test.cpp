#include "os/module.hpp"

#include <dlfcn.h>

#include <array>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

namespace hardstop::os {
namespace {

int some_function(int x) {
  return x + 1;
}

const void* address_of(int (*function)(int)) {
  return reinterpret_cast<const void*>(function);
}

TEST(Module, AFunctionOfTheProgramIsFoundAgain) {
  const auto place = locate(address_of(&some_function));
  ASSERT_TRUE(place);
  EXPECT_EQ(place->module, program_key());
  EXPECT_TRUE(travels_by_exec(place->module)) << "this program has a build-id";
  EXPECT_EQ(resolve(*place), address_of(&some_function));
}

TEST(Module, AFunctionOfALibraryIsFoundAgain) {
  // Not the address a call would go to, which may be a stub of the program's own.
  const void* const function = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
  ASSERT_NE(function, nullptr);
  const auto place = locate(function);
  ASSERT_TRUE(place);
  EXPECT_NE(place->module, program_key());
  EXPECT_EQ(resolve(*place), function);
}

TEST(Module, WhatIsNoCodeIsNowhere) {
  const auto heap = std::make_unique<int>(5);
  EXPECT_FALSE(locate(heap.get()));
  static int data = 3;
  EXPECT_FALSE(locate(&data));
  EXPECT_FALSE(locate(nullptr));
}

TEST(Module, AnotherBuildIsNotResolved) {
  code_location place = *locate(address_of(&some_function));
  place.module ^= 2;
  EXPECT_EQ(resolve(place), nullptr);
  EXPECT_NE(describe_unresolved(place).find("build-id"), std::string::npos);
}

TEST(Module, AnOffsetOutsideTheCodeIsNotResolved) {
  code_location place = *locate(address_of(&some_function));
  place.offset = std::uint64_t{1} << 40;
  EXPECT_EQ(resolve(place), nullptr);
  place.offset = 0;
  EXPECT_EQ(resolve(place), nullptr) << "the header of the file";
}

TEST(Module, IsLookedUpByManyThreads) {
  std::array<std::jthread, 8> threads;
  for (std::jthread& thread : threads) {
    thread = std::jthread([] {
      for (int n = 0; n < 1000; ++n) {
        const auto place = locate(address_of(&some_function));
        ASSERT_TRUE(place);
        ASSERT_EQ(resolve(*place), address_of(&some_function));
      }
    });
  }
}

}  // namespace
}  // namespace hardstop::os
