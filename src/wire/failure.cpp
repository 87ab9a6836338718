#include "wire/failure.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace hardstop::wire {
namespace {

// Length of the type in 4 bytes, the type, and the rest is the text.
using length_prefix = std::uint32_t;

// Does not cut a character of UTF-8 in two.
std::string_view cut(std::string_view text) {
  if (text.size() <= longest_failure_text) return text;
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80; };
  std::size_t end = longest_failure_text;
  while (end > longest_failure_text - 4 && continues(text[end]))
    --end;
  return text.substr(0, end);
}

}  // namespace

std::vector<std::byte> encode_failure(std::string_view type, std::string_view what) {
  type = cut(type);
  what = cut(what);
  const auto prefix = static_cast<length_prefix>(type.size());
  std::vector<std::byte> bytes(sizeof prefix + type.size() + what.size());
  std::memcpy(bytes.data(), &prefix, sizeof prefix);
  std::memcpy(bytes.data() + sizeof prefix, type.data(), type.size());
  std::memcpy(bytes.data() + sizeof prefix + type.size(), what.data(), what.size());
  return bytes;
}

std::optional<failure> decode_failure(std::span<const std::byte> bytes) {
  if (bytes.size() > sizeof(length_prefix) + 2 * longest_failure_text) return std::nullopt;
  // A copy first: the prefix is judged and used as it was at one moment.
  const std::string copy{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  length_prefix prefix = 0;
  if (copy.size() < sizeof prefix) return std::nullopt;
  std::memcpy(&prefix, copy.data(), sizeof prefix);
  if (prefix > copy.size() - sizeof prefix) return std::nullopt;
  return failure{.type = copy.substr(sizeof prefix, prefix),
                 .what = copy.substr(sizeof prefix + prefix)};
}

}  // namespace hardstop::wire
