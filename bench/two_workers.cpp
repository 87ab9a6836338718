#include "two_workers.hpp"

#include <chrono>

#include "waiting.hpp"

namespace bench {

void settle(const hardstop::process_pool& pool) {
  const auto settled = [&] {
    const hardstop::pool_stats now = pool.stats();
    return now.workers == 2 && now.spares == 1 && now.starting == 0 && now.stopping == 0;
  };
  wait_until(settled, "a pool that has all its workers");
}

void warm_up(hardstop::process_pool& pool) {
  const auto nap = [] { sleep_for(std::chrono::milliseconds(5)); };
  auto one = pool.submit(nap);
  auto other = pool.submit(nap);
  one.get();
  other.get();
  settle(pool);
}

}  // namespace bench
