// A job has memory of its own: an address in it means nothing there.
#include <hardstop/pool.hpp>

double norm(const double* values, int count);

void mistake(hardstop::process_pool& pool) {
  pool.submit<&norm>(nullptr, 3);
}
