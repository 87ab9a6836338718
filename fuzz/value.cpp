// A job's result as its future reads it: values of all kinds of types out of any bytes and
// segments.
#include <array>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "fuzz/input.hpp"
#include <hardstop/codec.hpp>
#include <hardstop/errors.hpp>

namespace {

using hardstop::fuzz::input;

enum class colour : std::uint8_t { red, green };

// A tree whose depth only the message decides.
struct node {
  std::string name;
  std::vector<node> children;
  std::shared_ptr<int> shared;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, children, shared);
  }
};

struct segments {
  std::vector<std::vector<std::byte>> all;

  std::span<const std::byte> segment(std::size_t index) const {
    return index < all.size() ? std::span<const std::byte>{all[index]}
                              : std::span<const std::byte>{};
  }
};

template <class T>
void read(std::span<const std::byte> bytes, const segments& beside) {
  hardstop::detail::decoder in{bytes, hardstop::detail::segment_source::of(beside)};
  try {
    (void)hardstop::detail::read<T>(in);
  } catch (const hardstop::decode_error&) {
    // The one thing that reading may throw.
  }
}

using reading = void (*)(std::span<const std::byte>, const segments&);

constexpr std::array<reading, 12> readings{
    &read<int>,
    &read<std::string>,
    &read<std::vector<double>>,
    &read<std::vector<std::string>>,
    &read<std::map<std::string, std::vector<int>>>,
    &read<std::tuple<int, std::string, std::optional<std::deque<long>>>>,
    &read<std::variant<int, std::string, std::vector<colour>>>,
    &read<node>,
    &read<std::unordered_map<int, std::list<std::set<int>>>>,
    &read<std::vector<bool>>,
    &read<std::shared_ptr<node>>,
    &read<std::unique_ptr<std::array<std::string, 3>>>,
};

void feed(input choices) {
  const reading chosen = readings.at(choices.take<std::uint8_t>() % readings.size());
  segments beside;
  for (auto count = choices.take<std::uint8_t>() % 3; count != 0; --count) {
    const auto bytes = std::as_bytes(choices.take_bytes(choices.take<std::uint8_t>()));
    beside.all.emplace_back(bytes.begin(), bytes.end());
  }
  // Aligned and of its exact size, so that a sanitizer guards its ends.
  const auto rest = std::as_bytes(choices.take_all());
  const std::vector<std::byte> message{rest.begin(), rest.end()};
  chosen(message, beside);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  feed(input{data, size});
  return 0;
}
