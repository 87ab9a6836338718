// The pool that most cells measure: two workers and a spare.
#pragma once

#include <hardstop/options.hpp>
#include <hardstop/pool.hpp>

namespace bench {

inline hardstop::pool_options two_workers() {
  return {.workers = 2};
}

// Until every worker and the spare are ready and nobody is dying: else one sample would pay for the
// one before.
void settle(const hardstop::process_pool& pool);

// For a pool with other numbers.
void settle(const hardstop::process_pool& pool, std::size_t workers, std::size_t spares);

}  // namespace bench
