#include "two_workers.hpp"

#include "waiting.hpp"

namespace bench {

void settle(const hardstop::process_pool& pool) {
  settle(pool, 2, 1);
}

void settle(const hardstop::process_pool& pool, std::size_t workers, std::size_t spares) {
  const auto settled = [&] {
    const hardstop::pool_stats now = pool.stats();
    return now.workers == workers && now.spares == spares && now.starting == 0 && now.stopping == 0;
  };
  wait_until(settled, "a pool that has all its workers");
}

}  // namespace bench
