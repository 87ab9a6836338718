// A token is given to the first parameter only.
#include <stop_token>

#include <hardstop/pool.hpp>

void search(int depth, std::stop_token token);

void mistake(hardstop::process_pool& pool) {
  pool.submit<&search>(3);
}
