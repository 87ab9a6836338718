// The pool that most cells measure: two workers and a spare.
#pragma once

#include <hardstop/options.hpp>
#include <hardstop/pool.hpp>

namespace bench {

inline hardstop::pool_options two_workers() {
  return {.workers = 2};
}

// Until both workers and the spare are ready and nobody is dying: else one sample would pay for the
// one before.
void settle(const hardstop::process_pool& pool);

// Makes a pool grow to both workers, which it does when there are jobs for both.
void warm_up(hardstop::process_pool& pool);

}  // namespace bench
