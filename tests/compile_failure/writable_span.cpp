// Arguments are read in place by the job, in memory it may not write.
#include <span>
#include <vector>

#include <hardstop/pool.hpp>

void scale(std::span<double> values);

void mistake(hardstop::process_pool& pool) {
  std::vector<double> values;
  pool.submit<&scale>(values);
}
