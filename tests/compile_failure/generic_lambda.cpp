#include <hardstop/pool.hpp>

void mistake(hardstop::process_pool& pool) {
#ifndef HARDSTOP_CONTROL
  pool.submit([](auto x) { return x; }, 4);
#else
  pool.submit([](int x) { return x; }, 4);
#endif
}
