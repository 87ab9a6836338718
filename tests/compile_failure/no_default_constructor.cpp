// cereal makes an object before it reads into it.
#include <hardstop/pool.hpp>

struct limit {
  explicit limit(int value) : most(value) {}

  template <class Archive>
  void serialize(Archive& archive) {
    archive(most);
  }

  int most;
};

void set(limit value);

void mistake(hardstop::process_pool& pool) {
  pool.submit<&set>(limit(3));
}
