// Dead processes that jobs left behind and that were adopted by this worker. Nobody may reap them:
// the kernel does not tell them from children that a job is going to wait for. A worker in which
// they pile up is replaced instead.
#pragma once

#include <cstdint>

namespace hardstop::worker {

class zombie_watch {
 public:
  explicit zombie_watch(std::uint32_t most) : most_(most) {}

  // Before a sleep: whether there are more than allowed. True once. One system call while there is
  // no dead child; else the children are counted, but rarely.
  bool too_many();

 private:
  static bool any();
  static std::uint32_t count();

  std::uint32_t most_;
  std::uint32_t skip_ = 0;  // how often not to count
  bool told_ = false;
};

}  // namespace hardstop::worker
