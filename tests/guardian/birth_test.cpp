// Births that fail say where, why and what to do, and leave nothing behind.
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "guardian/containment.hpp"
#include "guardian/role.hpp"
#include "guardian/test_pool.hpp"
#include "support/survivors.hpp"

namespace hardstop::test {
namespace {

using guardian::birth_stage;
using guardian::start_method;
using testing::HasSubstr;
using testing::IsEmpty;

os::descriptor spec_saying(std::string_view text) {
  os::descriptor file{::memfd_create("spec", MFD_CLOEXEC)};
  (void)!::write(file.get(), text.data(), text.size());
  return file;
}

TEST(birth, tells_of_hooks_that_fail) {
  const marker mark;
  auto plan = test_pool::plan_for(start_method::fork);
  plan.spec = spec_saying("fail");
  const auto born = guardian::give_birth(plan);
  ASSERT_FALSE(born);
  EXPECT_EQ(born.error().stage, birth_stage::hooks);
  EXPECT_EQ(born.error().cause.code, ENOEXEC);
  EXPECT_THAT(mark.survivors_after(std::chrono::seconds{10}), IsEmpty());
}

TEST(birth, tells_of_a_guardian_that_dies) {
  const marker mark;
  for (const auto start : {start_method::fork, start_method::forkserver}) {
    auto plan = test_pool::plan_for(start);
    plan.spec = spec_saying("die");
    const auto born = guardian::give_birth(plan);
    ASSERT_FALSE(born);
    EXPECT_EQ(born.error().stage, birth_stage::answer);
    EXPECT_THAT(born.error().message, HasSubstr("died while it was starting"));
    EXPECT_THAT(born.error().message,
                testing::AnyOf(HasSubstr("forkserver"), HasSubstr("hardstop::init")));
  }
  EXPECT_THAT(mark.survivors_after(std::chrono::seconds{10}), IsEmpty());
}

TEST(birth, gives_up_on_a_guardian_that_hangs_and_what_it_started) {
  const marker mark;
  auto plan = test_pool::plan_for(start_method::fork);
  plan.spec = spec_saying("hang");
  plan.start_timeout = std::chrono::milliseconds{200};
  const auto born = guardian::give_birth(plan);
  ASSERT_FALSE(born);
  EXPECT_EQ(born.error().stage, birth_stage::answer);
  EXPECT_EQ(born.error().cause.code, ETIMEDOUT);
  EXPECT_THAT(born.error().message, HasSubstr("200 ms"));
  EXPECT_THAT(born.error().message, HasSubstr("forkserver"));
  EXPECT_THAT(mark.survivors_after(std::chrono::seconds{10}), IsEmpty());
}

TEST(birth, tells_of_a_program_that_cannot_be_executed) {
  auto plan = test_pool::plan_for(start_method::forkserver);
  plan.exec_argv = {"/nonexistent/program"};
  const auto born = guardian::give_birth(plan);
  ASSERT_FALSE(born);
  EXPECT_EQ(born.error().stage, birth_stage::exec);
  EXPECT_EQ(born.error().cause.code, ENOENT);
  EXPECT_THAT(born.error().message, HasSubstr("/nonexistent/program"));
}

TEST(birth, tells_of_a_program_that_does_not_know_its_role) {
  const marker mark;
  auto plan = test_pool::plan_for(start_method::forkserver);
  plan.exec_argv = {"/bin/true"};
  auto born = guardian::give_birth(plan);
  ASSERT_FALSE(born);
  EXPECT_THAT(born.error().message, HasSubstr("hardstop::init"));

  plan.exec_argv = {"/bin/sh", "-c", "sleep 60 & sleep 60"};
  plan.start_timeout = std::chrono::milliseconds{300};
  born = guardian::give_birth(plan);
  ASSERT_FALSE(born);
  EXPECT_THAT(born.error().message, HasSubstr("hardstop::init"));
  EXPECT_THAT(mark.survivors_after(std::chrono::seconds{10}), IsEmpty());
}

TEST(birth, tells_of_a_worker_whose_program_has_gone) {
  // The guardian runs what /proc/self/exe was; a worker must execute it again.
  const std::string copy = "/tmp/hardstop-test-image-" + std::to_string(::getpid());
  std::filesystem::copy_file("/proc/self/exe", copy);
  auto plan = test_pool::plan_for(start_method::spawn);
  plan.exec_argv = {copy};
  test_pool pool{plan};
  EXPECT_EQ(pool.kill_and_wait(pool.spawn("idle")).birth_error, 0);
  std::filesystem::remove(copy);
  const auto account = pool.gone(pool.spawn_unready("idle"));
  EXPECT_EQ(account.birth, birth_stage::exec);
  EXPECT_EQ(account.birth_error, ENOENT);
}

TEST(birth, refuses_a_directory_that_is_no_cgroup) {
  auto plan = test_pool::plan_for(start_method::fork);
  plan.cgroup = "/tmp";
  const auto born = guardian::give_birth(plan);
  ASSERT_FALSE(born);
  EXPECT_EQ(born.error().stage, birth_stage::cgroup);
  EXPECT_THAT(born.error().message, HasSubstr("Delegate=yes"));
}

TEST(birth, passes_environment_to_the_fresh_image_and_its_workers) {
  auto plan = test_pool::plan_for(start_method::spawn);
  plan.exec_environment = {{"HARDSTOP_TEST_GIVEN", "yes"}};
  test_pool pool{plan};
  EXPECT_EQ(pool.gone(pool.spawn("tells_environment")).status.code, 3);
}

TEST(birth, keeps_descriptors_that_were_asked_for) {
  const auto kept = spec_saying("kept");
  auto plan = test_pool::plan_for(start_method::spawn);
  plan.exec_inherited = {kept.get()};
  plan.exec_environment = {{"HARDSTOP_TEST_KEPT", std::to_string(kept.get())}};
  test_pool pool{plan};
  EXPECT_EQ(pool.gone(pool.spawn("reads_kept_descriptor")).status.code, 3);
}

TEST(role, is_taken_from_environment_and_argument_only_together) {
  using guardian::process_role;
  const std::array with{"program", "hardstop:worker"};
  const std::array without{"program", "worker"};
  EXPECT_EQ(guardian::role_of_this_process(2, with.data()), process_role::client);
  ::setenv("HARDSTOP_ROLE", "worker:1:2:3:4:5:6:7:8", 1);
  EXPECT_EQ(guardian::role_of_this_process(2, with.data()), process_role::worker);
  EXPECT_EQ(guardian::role_of_this_process(2, without.data()), process_role::client);
  EXPECT_EQ(guardian::role_of_this_process(), process_role::client);
  ::unsetenv("HARDSTOP_ROLE");
}

TEST(containment, is_probed_and_explained) {
  const auto report = guardian::probe_containment("");
  EXPECT_EQ(report.refusal, "");
  EXPECT_TRUE(report.kernel.pidfd);
  EXPECT_TRUE(report.kernel.pidfd_wait);
  EXPECT_TRUE(report.kernel.memfd_sealing);
  EXPECT_THAT(report.kill_advice, HasSubstr("cgroup"));
  EXPECT_THAT(guardian::probe_containment("/nonexistent").kill_advice, HasSubstr("cannot be used"));
}

}  // namespace
}  // namespace hardstop::test
