#include "ring.hpp"

#include "samples.hpp"

namespace bench {

namespace os = hardstop::os;
namespace wire = hardstop::wire;

void one_way::wait(std::uint64_t number, const one_way& opposite, hardstop::wire::spin_score& score,
                   spin_beside whom) {
  while (!there(number)) {
    const int here = wire::current_cpu();
    const int writer = opposite.reader_cpu_.load(std::memory_order_relaxed);
    const bool beside = writer == here || (writer < 0 && whom == spin_beside::awake_writer);
    if (score.worthwhile() && !beside) {
      reader_cpu_.store(here, std::memory_order_relaxed);
      if (wire::spin_until([&] { return there(number); })) {
        score.hit();
        return;
      }
      score.miss();
    }
    const std::int64_t fell_asleep = now_ns();
    const std::uint32_t bell = bell_.load(std::memory_order_acquire);
    reader_cpu_.store(-1, std::memory_order_relaxed);
    asleep_.store(1, std::memory_order_seq_cst);
    if (!there(number)) os::futex_wait(bell_, bell, os::futex_scope::shared);
    asleep_.store(0, std::memory_order_relaxed);
    reader_cpu_.store(wire::current_cpu(), std::memory_order_relaxed);
    if (now_ns() - fell_asleep < wire::spin_budget.count()) score.hit();
  }
}

}  // namespace bench
