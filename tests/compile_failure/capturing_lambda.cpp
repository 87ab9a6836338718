// What a lambda captures lives in this process.
#include <hardstop/pool.hpp>

void mistake(hardstop::process_pool& pool) {
  int bias = 3;
  pool.submit([bias](int x) { return x + bias; }, 4);
}
