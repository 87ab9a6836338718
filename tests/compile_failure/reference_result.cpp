// A reference into the worker.
#include <string>

#include <hardstop/pool.hpp>

const std::string& name();

void mistake(hardstop::process_pool& pool) {
  pool.submit<&name>();
}
