// G2: once a worker's end is reported, nothing that descends from it exists, whatever it did.
#include "guardian/villains.hpp"

#include <gtest/gtest.h>

#include "guardian/test_pool.hpp"
#include "support/survivors.hpp"

namespace hardstop::test {
namespace {

using guardian::start_method;

class killed_villain : public testing::TestWithParam<std::tuple<std::string, start_method>> {};

TEST_P(killed_villain, leaves_nothing_behind_G2) {
  const auto& [name, start] = GetParam();
  const marker mark;
  test_pool pool{start};
  const std::vector<pid_t> ours{pool.link().warden.pid(), pool.link().guardian.pid()};

  const auto villain = pool.spawn(name);
  const auto account = pool.kill_and_wait(villain);

  EXPECT_EQ(mark.survivors(ours), std::vector<survivor>{});
  EXPECT_EQ(account.status.signal, SIGKILL);
  EXPECT_EQ(account.pid, villain.pid);
  EXPECT_EQ(account.unconfirmed.reason, wire::survival::none);
  EXPECT_GE(account.processes_stopped, 1U);
  EXPECT_LT(account.confirm_latency, std::chrono::seconds{1});
  EXPECT_TRUE(pool.answers_ping());
  pool.dismiss();
  EXPECT_EQ(mark.survivors(), std::vector<survivor>{});
}

std::string name_of(const testing::TestParamInfo<killed_villain::ParamType>& info) {
  constexpr std::array starts{"fork", "forkserver", "spawn"};
  return std::get<0>(info.param) + "_" +
         starts.at(static_cast<std::size_t>(std::get<1>(info.param)));
}

INSTANTIATE_TEST_SUITE_P(all, killed_villain,
                         testing::Combine(testing::ValuesIn(killable_villains()),
                                          testing::Values(start_method::fork,
                                                          start_method::forkserver,
                                                          start_method::spawn)),
                         name_of);

}  // namespace
}  // namespace hardstop::test
