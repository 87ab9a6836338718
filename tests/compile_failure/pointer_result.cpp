// The same on the way back.
#include <hardstop/pool.hpp>

int* find();

void mistake(hardstop::process_pool& pool) {
  pool.submit<&find>();
}
