#include <hardstop/pool.hpp>

struct model {
  int fit(int steps);
};

void mistake(hardstop::process_pool& pool) {
  pool.submit<&model::fit>(3);
}
