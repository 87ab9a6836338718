// A view of memory that stays in the worker.
#include <string_view>

#include <hardstop/pool.hpp>

std::string_view name();

void mistake(hardstop::process_pool& pool) {
  pool.submit<&name>();
}
