#include <hardstop/pool.hpp>

int add(int a, int b) {
  return a + b;
}

int main() {
  hardstop::process_pool pool{{.workers = 1}};
  return pool.submit<&add>(20, 22).get() == 42 ? 0 : 1;
}
