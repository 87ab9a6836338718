// Standard containers are looked into.
#include <map>
#include <string>

#include <hardstop/pool.hpp>

struct account {
  std::string owner;
};

void settle(std::map<int, account> all);

void mistake(hardstop::process_pool& pool) {
  pool.submit<&settle>(std::map<int, account>());
}
