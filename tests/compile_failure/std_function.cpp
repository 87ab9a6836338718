#include <functional>

#include <hardstop/pool.hpp>

void mistake(hardstop::process_pool& pool) {
  pool.submit(std::function<int(int)>(), 3);
}
