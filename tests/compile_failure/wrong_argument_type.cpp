#include <string>

#include <hardstop/pool.hpp>

void greet(std::string name);

void mistake(hardstop::process_pool& pool) {
#ifndef HARDSTOP_CONTROL
  pool.submit<&greet>(3);
#else
  pool.submit<&greet>("you");
#endif
}
