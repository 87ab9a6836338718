// Which overload was meant is told by the number of arguments.
#include <hardstop/pool.hpp>

int add(int a, int b);

void mistake(hardstop::process_pool& pool) {
#ifndef HARDSTOP_CONTROL
  pool.submit<&add>(1);
#else
  pool.submit<&add>(1, 2);
#endif
}
