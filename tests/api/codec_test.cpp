// Every family of types that travels arrives as it was sent.
#include <array>
#include <atomic>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <queue>
#include <set>
#include <stack>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <valarray>
#include <variant>
#include <vector>

#include <cereal/types/polymorphic.hpp>
#include <gtest/gtest.h>

#include "api/loopback.hpp"
#include <hardstop/codec.hpp>
#include <hardstop/errors.hpp>

using hardstop::test::sent;
using namespace std::chrono_literals;

namespace {

enum class colour : std::uint8_t { red, green, blue };

enum plain_enum { first = 1, second = 2 };
enum class answer : bool { no, yes };

struct point {
  double x;
  double y;
  friend bool operator==(const point&, const point&) = default;
};

struct no_default {
  explicit no_default(int n) : number(n) {}

  int number;
  friend bool operator==(const no_default&, const no_default&) = default;
};

struct model {
  std::string name;
  std::vector<double> weights;
  std::map<std::string, std::vector<point>> tracks;
  std::optional<colour> tint;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, weights, tracks, tint);
  }

  friend bool operator==(const model&, const model&) = default;
};

struct split {
  int kept = 0;

  template <class Archive>
  void save(Archive& archive) const {
    archive(kept * 2);
  }

  template <class Archive>
  void load(Archive& archive) {
    archive(kept);
    kept /= 2;
  }
};

// Gives cereal a temporary, which is gone before the message is sent.
struct computed {
  std::vector<int> values;

  template <class Archive>
  void save(Archive& archive) const {
    std::vector<int> reversed(values.rbegin(), values.rend());
    archive(reversed);
    reversed.assign(reversed.size(), -1);
  }

  template <class Archive>
  void load(Archive& archive) {
    archive(values);
    values = {values.rbegin(), values.rend()};
  }
};

// Has cereal's functions and is plain as well: its bytes count.
struct both {
  int value = 0;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(value);
    throw std::logic_error("cereal should not have been asked");
  }
};

class matrix {
 public:
  matrix(std::size_t columns, std::vector<float> elements)
      : columns_(columns), elements_(std::move(elements)) {}

  [[nodiscard]] std::size_t columns() const { return columns_; }

  [[nodiscard]] const std::vector<float>& elements() const { return elements_; }

  friend bool operator==(const matrix&, const matrix&) = default;

 private:
  std::size_t columns_;
  std::vector<float> elements_;
};

struct tree {
  int value = 0;
  std::vector<std::unique_ptr<tree>> children;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(value, children);
  }
};

struct shape {
  virtual ~shape() = default;
  [[nodiscard]] virtual double area() const = 0;
};

struct square final : shape {
  double side = 0;

  [[nodiscard]] double area() const override { return side * side; }

  template <class Archive>
  void serialize(Archive& archive) {
    archive(side);
  }
};

template <class T>
void expect_to_arrive(const T& value) {
  EXPECT_EQ(sent(value), value);
}

}  // namespace

template <>
struct hardstop::plain<point> : std::true_type {};

template <>
struct hardstop::plain<no_default> : std::true_type {};

template <>
struct hardstop::plain<both> : std::true_type {};

template <>
struct hardstop::codec<matrix> {
  static void write(hardstop::writer& out, const matrix& value) {
    out(value.columns());
    out.bytes(std::as_bytes(std::span(value.elements())));
  }

  static matrix read(hardstop::reader& in) {
    const auto columns = in.read<std::size_t>();
    const auto bytes = in.bytes();
    std::vector<float> elements(bytes.size() / sizeof(float));
    std::memcpy(elements.data(), bytes.data(), elements.size() * sizeof(float));
    return {columns, std::move(elements)};
  }
};

CEREAL_REGISTER_TYPE(square)
CEREAL_REGISTER_POLYMORPHIC_RELATION(shape, square)

TEST(codec, numbers_and_enums) {
  expect_to_arrive(true);
  expect_to_arrive('x');
  expect_to_arrive(std::int8_t{-5});
  expect_to_arrive(std::uint64_t{0xFFFF'FFFF'FFFF'FFFF});
  expect_to_arrive(-1.5);
  expect_to_arrive(1.25L);
  expect_to_arrive(colour::blue);
  expect_to_arrive(second);
  expect_to_arrive(answer::yes);
  expect_to_arrive(std::byte{7});
}

TEST(codec, times) {
  expect_to_arrive(5s);
  expect_to_arrive(std::chrono::duration<double>(0.25));
  expect_to_arrive(std::chrono::system_clock::now());
  expect_to_arrive(std::vector{1ms, 2ms});
  expect_to_arrive(std::map<int, std::chrono::nanoseconds>{{1, 5ns}});
}

TEST(codec, strings) {
  expect_to_arrive(std::string());
  expect_to_arrive(std::string("with\0nul", 8));
  expect_to_arrive(std::u16string(u"wide"));
  expect_to_arrive(std::string(100'000, 'x'));
}

TEST(codec, vectors_and_arrays) {
  expect_to_arrive(std::vector<int>());
  expect_to_arrive(std::vector{1, 2, 3});
  expect_to_arrive(std::vector<bool>{true, false, true});
  expect_to_arrive(std::vector<colour>{colour::red, colour::blue});
  expect_to_arrive(std::vector<std::string>{"a", "", "ccc"});
  expect_to_arrive(std::vector<std::vector<double>>{{1, 2}, {}, {3}});
  expect_to_arrive(std::array{1.0, 2.0, 3.0});
  expect_to_arrive(std::array{true, false});
  expect_to_arrive(std::array<std::string, 2>{"a", "b"});
  expect_to_arrive(std::array<int, 0>{});
}

TEST(codec, standard_containers) {
  expect_to_arrive(std::deque{1, 2, 3});
  expect_to_arrive(std::list<std::string>{"a", "b"});
  expect_to_arrive(std::forward_list{1, 2, 3});
  expect_to_arrive(std::set<std::string>{"a", "b"});
  expect_to_arrive(std::multiset{1, 1, 2});
  expect_to_arrive(std::unordered_set{1, 2, 3});
  expect_to_arrive(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  expect_to_arrive(std::multimap<int, int>{{1, 1}, {1, 2}});
  expect_to_arrive(std::unordered_map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  const std::valarray<double> values = {1, 2, 3};
  const auto arrived = sent(values);
  EXPECT_TRUE(std::ranges::equal(arrived, values));
  std::queue<int> queue;
  queue.push(1);
  expect_to_arrive(queue);
  std::stack<int> stack;
  stack.push(1);
  expect_to_arrive(stack);
  std::priority_queue<int> heap;
  heap.push(3);
  heap.push(5);
  EXPECT_EQ(sent(heap).top(), 5);
  expect_to_arrive(std::bitset<70>(0b1011));
  expect_to_arrive(std::complex<double>(1, 2));
}

TEST(codec, sums_and_products) {
  expect_to_arrive(std::optional<int>());
  expect_to_arrive(std::optional<std::string>("a"));
  expect_to_arrive(std::optional<std::optional<bool>>(std::optional<bool>()));
  expect_to_arrive(std::pair(1, std::string("b")));
  expect_to_arrive(std::tuple(1, 2.5, std::string("c"), std::optional(true)));
  expect_to_arrive(std::tuple<>());
  expect_to_arrive(std::variant<int, std::string>("text"));
  expect_to_arrive(std::variant<std::monostate, double>());
  expect_to_arrive(std::vector<std::variant<int, std::string>>{1, "two"});
}

TEST(codec, smart_pointers) {
  EXPECT_EQ(*sent(std::make_unique<int>(3)), 3);
  EXPECT_EQ(sent(std::unique_ptr<int>()), nullptr);
  const auto shared = std::make_shared<std::string>("one");
  const auto arrived = sent(std::map<int, std::shared_ptr<std::string>>{{1, shared}, {2, shared}});
  EXPECT_EQ(*arrived.at(1), "one");
  EXPECT_EQ(arrived.at(1), arrived.at(2)) << "one object, seen twice";
}

TEST(codec, polymorphic_pointers) {
  auto made = std::make_unique<square>();
  made->side = 3;
  const std::unique_ptr<shape> sent_shape = std::move(made);
  EXPECT_EQ(sent(sent_shape)->area(), 9);
}

TEST(codec, recursive_types) {
  tree root{.value = 1, .children = {}};
  root.children.push_back(std::make_unique<tree>(tree{.value = 2, .children = {}}));
  EXPECT_EQ(sent(std::make_unique<tree>(std::move(root)))->children.at(0)->value, 2);
}

TEST(codec, types_with_serialize) {
  expect_to_arrive(model{.name = "m",
                         .weights = std::vector<double>(20'000, 0.5),
                         .tracks = {{"a", {{1, 2}, {3, 4}}}},
                         .tint = colour::green});
  EXPECT_EQ(sent(split{.kept = 21}).kept, 21);
  EXPECT_EQ(sent(std::map<int, split>{{1, split{.kept = 5}}}).at(1).kept, 5);
}

TEST(codec, plain_types) {
  expect_to_arrive(point{1, 2});
  expect_to_arrive(std::vector<point>(10'000, point{3, 4}));
  expect_to_arrive(std::map<int, point>{{1, {2, 3}}});
  expect_to_arrive(no_default(7));
  EXPECT_EQ(sent(both{.value = 3}).value, 3);
  EXPECT_EQ((sent(std::map<int, both>{{1, both{.value = 3}}}).at(1).value), 3);
}

TEST(codec, own_codecs) {
  const matrix small(2, {1, 2, 3, 4});
  expect_to_arrive(small);
  expect_to_arrive(matrix(100, std::vector<float>(100'000, 1.5F)));
  expect_to_arrive(std::vector{small, small});
  expect_to_arrive(std::tuple(1, small));
}

TEST(codec, empty_classes_take_no_room) {
  struct nothing {};

  EXPECT_EQ(sent(std::vector<nothing>(1000)).size(), 1000U);
}

// Large ranges travel beside the message, small ones within.
TEST(codec, ranges_above_the_threshold_become_segments) {
  const std::vector<double> small(100);
  const std::vector<double> large(hardstop::detail::segment_threshold / sizeof(double));
  hardstop::detail::encoder out;
  hardstop::detail::write(out, std::tie(small, large), hardstop::detail::lifetime::lasting);
  ASSERT_EQ(out.segments().size(), 1U);
  EXPECT_EQ(static_cast<const void*>(out.segments()[0].data()), large.data()) << "not copied";
  EXPECT_LT(out.bytes().size(), 1000U);
}

TEST(codec, what_a_save_function_made_is_kept_until_sent) {
  computed value;
  value.values.resize(100'000);
  std::iota(value.values.begin(), value.values.end(), 0);
  EXPECT_EQ(sent(value).values, value.values);
}

TEST(codec, small_messages_allocate_nothing) {
  const hardstop::detail::encoder out;
  const auto* object = reinterpret_cast<const std::byte*>(&out);
  EXPECT_GE(out.bytes().data(), object);
  EXPECT_LT(out.bytes().data(), object + sizeof(out));
}

TEST(codec, a_value_nested_too_deep_is_refused_before_it_is_sent) {
  auto deep = std::make_unique<tree>();
  for (int level = 0; level < 5000; ++level) {
    auto above = std::make_unique<tree>();
    above->children.push_back(std::move(deep));
    deep = std::move(above);
  }
  EXPECT_THROW(sent(deep), hardstop::encode_error);
}
