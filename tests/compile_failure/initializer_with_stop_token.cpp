#include <stop_token>

#include <hardstop/pool.hpp>

void prepare(std::stop_token token);

void mistake(hardstop::process_pool& /*pool*/) {
  hardstop::process_pool other{{.initializer = hardstop::initialize_with<&prepare>()}};
}
