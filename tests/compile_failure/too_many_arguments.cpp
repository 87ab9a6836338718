#include <hardstop/pool.hpp>

int add(int a, int b);

void mistake(hardstop::process_pool& pool) {
#ifndef HARDSTOP_CONTROL
  pool.submit<&add>(1, 2, 3);
#else
  pool.submit<&add>({.priority = 1}, 2, 3);
#endif
}
