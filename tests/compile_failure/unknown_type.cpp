// A type without any way to travel.
#include <string>

#include <hardstop/pool.hpp>

struct account {
  std::string owner;
};

void settle(account closed);

void mistake(hardstop::process_pool& pool) {
  pool.submit<&settle>(account());
}
