#include <string_view>

#include <hardstop/message.hpp>
#include <hardstop/source.hpp>

namespace hardstop {

std::string_view to_string(argument_format format) noexcept {
  switch (format) {
    case argument_format::json:
      return "json";
    case argument_format::messagepack:
      return "msgpack";
    case argument_format::signed_pickle:
      return "pickle";
  }
  return "unknown";
}

std::string_view to_string(nack_reason reason) noexcept {
  switch (reason) {
    case nack_reason::failed:
      return "failed";
    case nack_reason::returned:
      return "returned";
    case nack_reason::cancelled:
      return "cancelled";
    case nack_reason::refused:
      return "refused";
  }
  return "unknown";
}

}  // namespace hardstop
