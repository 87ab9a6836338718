// Three ways for a type of one's own to travel to a job and back.
#include <cstddef>
#include <iostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>

#include <hardstop/codec.hpp>
#include <hardstop/pool.hpp>

// 1. Its bytes are its value: say so. A range of these travels in one copy and is read in place.
struct point {
  double x = 0, y = 0;
};

template <>
struct hardstop::plain<point> : std::true_type {};

// 2. cereal's functions, which a type may have anyway.
struct track {
  std::string name;
  std::vector<double> lengths;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, lengths);
  }
};

// 3. A codec, for what has no default constructor, or somebody else's class.
class matrix {
 public:
  matrix(std::size_t columns, std::vector<double> elements)
      : columns_(columns), elements_(std::move(elements)) {}

  [[nodiscard]] std::size_t columns() const { return columns_; }

  [[nodiscard]] const std::vector<double>& elements() const { return elements_; }

 private:
  std::size_t columns_;
  std::vector<double> elements_;
};

template <>
struct hardstop::codec<matrix> {
  static void write(hardstop::writer& out, const matrix& value) {
    out(value.columns())(value.elements());
  }

  static matrix read(hardstop::reader& in) {
    const auto columns = in.read<std::size_t>();
    auto elements = in.read<std::vector<double>>();
    if (columns == 0 || elements.size() % columns != 0)
      throw hardstop::decode_error("not a matrix");
    return {columns, std::move(elements)};
  }
};

point centre(std::span<const point> of) {
  point sum;
  for (const point& each : of)
    sum = {sum.x + each.x, sum.y + each.y};
  const auto count = static_cast<double>(of.size());
  return {sum.x / count, sum.y / count};
}

track shortened(track whole) {
  whole.name += " (short)";
  whole.lengths.pop_back();
  return whole;
}

matrix transposed(const matrix& of) {
  const std::size_t rows = of.elements().size() / of.columns();
  std::vector<double> turned;
  for (std::size_t column = 0; column < of.columns(); ++column) {
    for (std::size_t row = 0; row < rows; ++row)
      turned.push_back(of.elements()[row * of.columns() + column]);
  }
  return {rows, std::move(turned)};
}

int main() {
  hardstop::process_pool pool{{.workers = 1}};

  const std::vector<point> corners = {{0, 0}, {4, 0}, {4, 2}, {0, 2}};
  const point middle = pool.submit<&centre>(corners).get();
  std::cout << "centre: " << middle.x << ' ' << middle.y << '\n';

  const track tour{"round the lake", {4.5, 3.0, 7.5}};
  const track half = pool.submit<&shortened>(tour).get();
  std::cout << half.name << ": " << half.lengths.size() << " legs\n";

  const matrix turned = pool.submit<&transposed>(matrix(3, {1, 2, 3, 4, 5, 6})).get();
  std::cout << "transposed: " << turned.columns() << " columns, second element "
            << turned.elements()[1] << '\n';
}
