// G12: a result is written by a worker that may have gone wild. Whatever its bytes are, reading
// them gives a value or decode_error, and never more memory than the message could justify.
#include <array>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "api/loopback.hpp"
#include <hardstop/codec.hpp>
#include <hardstop/errors.hpp>

using hardstop::decode_error;
using hardstop::test::message;

namespace {

template <class T>
message message_with(const T& value) {
  hardstop::detail::encoder out;
  hardstop::detail::write(out, value, hardstop::detail::lifetime::lasting);
  return message(out);
}

template <class T>
T read_from(const message& from) {
  auto in = from.decoder();
  return hardstop::detail::read<T>(in);
}

message garbage(std::vector<std::uint64_t> words) {
  return message(std::as_bytes(std::span(words)));
}

struct list_node {
  std::unique_ptr<list_node> next;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(next);
  }
};

struct two_pointers {
  std::shared_ptr<std::string> text;
  std::shared_ptr<std::vector<int>> numbers;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(text, numbers);
  }
};

struct nothing {};

struct everything {
  std::vector<std::string> names;
  std::map<int, std::vector<double>> series;
  std::optional<std::variant<int, std::string>> choice;
  std::shared_ptr<int> shared;
  std::shared_ptr<std::string> text;
  std::deque<bool> flags;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(names, series, choice, shared, text, flags);
  }
};

everything sample() {
  return {.names = {"a", "bb", "ccc"},
          .series = {{1, {1, 2, 3}}, {2, {}}},
          .choice = "chosen",
          .shared = std::make_shared<int>(1),
          .text = std::make_shared<std::string>("t"),
          .flags = {true, false}};
}

}  // namespace

TEST(malformed, a_message_that_ends_early) {
  const auto whole = message_with(std::tuple(1, std::string("text"), std::vector<double>{1, 2}));
  for (std::size_t size = 0; size < whole.bytes().size(); ++size) {
    auto cut = whole;
    cut.truncate(size);
    EXPECT_THROW((read_from<std::tuple<int, std::string, std::vector<double>>>(cut)), decode_error)
        << size;
  }
}

TEST(malformed, lengths_beyond_the_message) {
  for (const std::uint64_t length : {2ULL << 20U, ~0ULL, ~1ULL, 1ULL << 63U, 40ULL}) {
    const auto bad = garbage({length, 0});
    EXPECT_THROW(read_from<std::vector<double>>(bad), decode_error) << length;
    EXPECT_THROW(read_from<std::string>(bad), decode_error) << length;
    EXPECT_THROW(read_from<std::vector<std::string>>(bad), decode_error) << length;
    EXPECT_THROW(read_from<std::deque<int>>(bad), decode_error) << length;
    EXPECT_THROW(read_from<std::list<std::string>>(bad), decode_error) << length;
    EXPECT_THROW((read_from<std::map<int, int>>(bad)), decode_error) << length;
    EXPECT_THROW((read_from<std::unordered_map<int, int>>(bad)), decode_error) << length;
  }
}

TEST(malformed, a_range_that_is_no_whole_number_of_elements) {
  EXPECT_THROW(read_from<std::vector<double>>(garbage({7U << 1U, 0})), decode_error);
}

TEST(malformed, a_segment_that_is_not_there_or_too_short) {
  const std::vector<double> large(100'000);
  auto bad = message_with(large);
  EXPECT_EQ(read_from<std::vector<double>>(bad), large);
  auto header = std::uint64_t{large.size() * sizeof(double) + 8} << 1U | 1U;
  std::memcpy(bad.bytes().data(), &header, sizeof(header));
  EXPECT_THROW(read_from<std::vector<double>>(bad), decode_error);
  EXPECT_THROW(read_from<std::vector<double>>(message(bad.bytes())), decode_error);
}

TEST(malformed, values_no_bool_and_no_variant_has) {
  EXPECT_THROW(read_from<bool>(garbage({2})), decode_error);
  EXPECT_THROW(read_from<std::optional<int>>(garbage({0xFF})), decode_error);
  EXPECT_THROW((read_from<std::array<bool, 2>>(garbage({0x0300}))), decode_error);
  EXPECT_THROW(read_from<std::vector<bool>>(garbage({1, 9})), decode_error);
  using choice = std::variant<int, std::string>;
  EXPECT_THROW(read_from<choice>(garbage({7, 0})), decode_error);
  EXPECT_THROW(read_from<choice>(garbage({0xFFFF'FFFF, 0})), decode_error);
}

// A byte per level would otherwise take a stack frame per byte.
TEST(malformed, nesting_without_end) {
  const std::vector<std::byte> ones(1'000'000, std::byte{1});
  EXPECT_THROW(read_from<std::unique_ptr<list_node>>(message(ones)), decode_error);
}

// cereal would cast what was kept for one type to whatever is read next.
TEST(malformed, a_shared_pointer_of_another_type) {
  const two_pointers good{.text = std::make_shared<std::string>("s"),
                          .numbers = std::make_shared<std::vector<int>>(3)};
  auto bad = message_with(good);
  EXPECT_EQ(*read_from<two_pointers>(bad).text, "s");
  // The second pointer's number, with its mark of a new object, becomes that of the first.
  const std::uint32_t second = 2U | 0x8000'0000U;
  const std::uint32_t first = 1;
  auto bytes = bad.bytes();
  const auto at =
      std::search(bytes.begin(), bytes.end(), reinterpret_cast<const std::byte*>(&second),
                  reinterpret_cast<const std::byte*>(&second) + sizeof(second));
  ASSERT_NE(at, bytes.end());
  std::memcpy(&*at, &first, sizeof(first));
  EXPECT_THROW(read_from<two_pointers>(bad), decode_error);
}

TEST(malformed, objects_that_take_no_bytes_are_not_unlimited) {
  struct nothing {};

  EXPECT_THROW(read_from<std::list<nothing>>(garbage({1U << 30U})), decode_error);
  EXPECT_THROW((read_from<std::vector<std::tuple<>>>(garbage({1U << 30U}))), decode_error);
}

// Seeds are fixed: a failure is the same every time.
TEST(malformed, random_damage_gives_a_value_or_decode_error) {
  const auto good = message_with(sample());
  std::mt19937_64 random(1);
  for (int attempt = 0; attempt < 20'000; ++attempt) {
    auto damaged = good;
    const auto changes = 1 + random() % 4;
    for (std::uint64_t change = 0; change < changes; ++change) {
      damaged.bytes()[random() % damaged.bytes().size()] = static_cast<std::byte>(random());
    }
    if (random() % 4 == 0) damaged.truncate(random() % damaged.bytes().size());
    try {
      static_cast<void>(read_from<everything>(damaged));
    } catch (const decode_error&) {
      continue;
    }
  }
}
