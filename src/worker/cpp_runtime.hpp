// C++ jobs: a function is the place of a thunk that decodes its own arguments.
#pragma once

#include "worker/runtime.hpp"
#include "worker/stop_listener.hpp"
#include <hardstop/detail/call.hpp>

namespace hardstop::worker {

class cpp_runtime final : public runtime {
 public:
  std::optional<wire::failure> start(const spec&, const wire::client_words&) override;
  void execute(const job_view&, job_output&) override;
  void leave() override;

 private:
  detail::thunk find(const wire::function_id&);

  // Made by start(); never destroyed, its thread ends with the process.
  stop_listener* listener_ = nullptr;
  // The function that ran last, most often the next one, too.
  wire::function_id known_;
  detail::thunk known_thunk_ = nullptr;
};

}  // namespace hardstop::worker
