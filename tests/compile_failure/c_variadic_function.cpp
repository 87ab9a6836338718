#include <hardstop/pool.hpp>

int print(const char* format, ...);

void mistake(hardstop::process_pool& pool) {
  pool.submit<&print>(3);
}
