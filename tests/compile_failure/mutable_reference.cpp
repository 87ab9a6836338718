// Nobody would see what the job writes.
#include <vector>

#include <hardstop/pool.hpp>

void sort(std::vector<int>& values);

void mistake(hardstop::process_pool& pool) {
  pool.submit<&sort>(std::vector{3, 1});
}
