// Views are read in place, which works for a parameter only.
#include <string_view>
#include <vector>

#include <hardstop/pool.hpp>

void print(std::vector<std::string_view> lines);

void mistake(hardstop::process_pool& pool) {
  pool.submit<&print>(std::vector<std::string_view>());
}
