// A queue in another process that does what it is told over a socket, a line of JSON each way.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "service/queue/model.hpp"
#include "support/other_process.hpp"
#include <hardstop/source.hpp>

namespace hardstop::test {

class other_taker final : public source {
 public:
  // Its clock shows what `now` does, when it is told something.
  other_taker(const std::string& path, std::chrono::nanoseconds lease,
              std::function<model_time()> now);
  ~other_taker() override;

  taking take(std::size_t at_most, std::chrono::nanoseconds patience) override;
  std::vector<receipt> extend(std::span<const receipt> leases) override;
  std::vector<receipt> ack(std::span<const receipt> done) override;
  std::vector<receipt> nack(std::span<const nacked_job> jobs) override;

  void on_cancel(std::function<void(const receipt&)>) override {}

 private:
  nlohmann::json ask(const std::string& what, const nlohmann::json& with);

  std::function<model_time()> now_;
  int socket_ = -1;
  support::other_process process_;
};

}  // namespace hardstop::test
