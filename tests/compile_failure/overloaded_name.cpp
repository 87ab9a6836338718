#include <hardstop/pool.hpp>

double scale(double x);
float scale(float x);

void mistake(hardstop::process_pool& pool) {
#ifndef HARDSTOP_CONTROL
  pool.submit<&scale>(1.5);
#else
  pool.submit<static_cast<double (*)(double)>(&scale)>(1.5);
#endif
}
