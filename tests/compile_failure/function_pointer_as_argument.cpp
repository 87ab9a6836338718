// An address is another function in another process.
#include <hardstop/pool.hpp>

int twice(int x);

void mistake(hardstop::process_pool& pool) {
#ifndef HARDSTOP_CONTROL
  pool.submit(&twice, 3);
#else
  pool.submit<&twice>(3);
#endif
}
