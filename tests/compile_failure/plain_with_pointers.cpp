// plain<T> promises that the bytes are the value.
#include <string>
#include <type_traits>

#include <hardstop/pool.hpp>

struct label {
  std::string text;
};

template <>
struct hardstop::plain<label> : std::true_type {};

void print(label printed);

void mistake(hardstop::process_pool& pool) {
  pool.submit<&print>(label());
}
