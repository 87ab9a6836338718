#include <functional>

#include <hardstop/pool.hpp>

void each(std::function<void()> work);

void mistake(hardstop::process_pool& pool) {
  pool.submit<&each>(std::function<void()>());
}
