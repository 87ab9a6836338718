#include <hardstop/pool.hpp>
#include <hardstop/run.hpp>

int add(int a, int b);

void mistake(hardstop::process_pool& /*pool*/) {
#ifndef HARDSTOP_CONTROL
  hardstop::run<&add>(1);
#else
  hardstop::run<&add>(1, 2);
#endif
}
