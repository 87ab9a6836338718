#include "service/queue/message_check.hpp"

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace hardstop::storage {
namespace {

using nlohmann::json;

// Follows a text without keeping any of it: is it an array, or {"args": […], "kwargs": {…}}?
class shape_reader final : public json::json_sax_t {
 public:
  bool null() override { return leaf(); }

  bool boolean(bool) override { return leaf(); }

  bool number_integer(std::int64_t) override { return leaf(); }

  bool number_unsigned(std::uint64_t) override { return leaf(); }

  bool number_float(double, const std::string&) override { return leaf(); }

  bool string(std::string&) override { return leaf(); }

  bool binary(json::binary_t&) override { return leaf(); }

  bool start_array(std::size_t) override { return enter(depth_ == 0 || key_ != member::kwargs); }

  bool end_array() override { return leave(); }

  bool start_object(std::size_t) override {
    if (depth_ == 0) is_object_ = true;
    return enter(depth_ == 0 || key_ != member::args);
  }

  bool end_object() override { return leave(); }

  bool key(std::string& name) override {
    if (depth_ != 1 || !is_object_) return true;
    key_ = name == "args" ? member::args : name == "kwargs" ? member::kwargs : member::other;
    bool& seen = key_ == member::args ? has_args_ : has_kwargs_;
    if (key_ == member::other || seen) return stop(wrong_shape);
    seen = true;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    return stop("its arguments cannot be read from byte " + std::to_string(position) + " on");
  }

  [[nodiscard]] std::optional<std::string> why_not() const {
    if (!why_not_.empty()) return why_not_;
    if (is_object_ && !(has_args_ && has_kwargs_)) return wrong_shape;
    return std::nullopt;
  }

 private:
  enum class member : std::uint8_t { none, args, kwargs, other };

  static constexpr const char* wrong_shape =
      "its arguments are neither an array nor {\"args\": […], \"kwargs\": {…}}";

  bool stop(std::string why) {
    if (why_not_.empty()) why_not_ = std::move(why);
    return false;
  }

  // A value that holds no others stands nowhere but in an array or below.
  bool leaf() { return depth_ == 0 || stands_for_a_member() ? stop(wrong_shape) : true; }

  [[nodiscard]] bool stands_for_a_member() const { return is_object_ && depth_ == 1; }

  bool enter(bool fits) {
    if (stands_for_a_member() && !fits) return stop(wrong_shape);
    if (++depth_ <= deepest_nesting) return true;
    return stop("its arguments are nested deeper than " + std::to_string(deepest_nesting));
  }

  bool leave() {
    --depth_;
    return true;
  }

  unsigned depth_ = 0;
  bool is_object_ = false;
  bool has_args_ = false;
  bool has_kwargs_ = false;
  member key_ = member::none;
  std::string why_not_;
};

std::optional<std::string> why_no_arguments(argument_format format,
                                            std::span<const std::byte> arguments) {
  shape_reader reader;
  const auto* const first = reinterpret_cast<const std::uint8_t*>(arguments.data());
  const auto input =
      format == argument_format::json ? json::input_format_t::json : json::input_format_t::msgpack;
  // The reader goes one level down for each that it is told of, and stops where the shape does.
  const bool whole = json::sax_parse(first, first + arguments.size(), &reader, input);
  if (auto why = reader.why_not()) return why;
  if (!whole) return "its arguments cannot be read";
  return std::nullopt;
}

}  // namespace

std::optional<argument_format> format_called(std::string_view name) {
  for (const auto format :
       {argument_format::json, argument_format::messagepack, argument_format::signed_pickle}) {
    if (name == to_string(format)) return format;
  }
  return std::nullopt;
}

std::optional<std::string> why_no_job(std::string_view name, argument_format format,
                                      std::span<const std::byte> arguments) {
  if (name.empty()) return "it has no name";
  if (name.size() > longest_name) {
    return "its name has " + std::to_string(name.size()) + " bytes, more than " +
           std::to_string(longest_name);
  }
  if (arguments.size() > largest_arguments) {
    return "its arguments have " + std::to_string(arguments.size()) + " bytes, more than " +
           std::to_string(largest_arguments) + ": put them into a file, and its path into the job";
  }
  switch (format) {
    case argument_format::json:
    case argument_format::messagepack:
      return why_no_arguments(format, arguments);
    case argument_format::signed_pickle:
      return std::nullopt;
  }
  return "its arguments are in an unknown format";
}

}  // namespace hardstop::storage
