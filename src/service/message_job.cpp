#include <cstdlib>
#include <string>

#include <hardstop/detail/message_job.hpp>

namespace hardstop::detail {

nlohmann::json read_message(argument_format format, std::span<const std::byte> bytes,
                            std::size_t wanted) {
  const auto* const begin = reinterpret_cast<const char*>(bytes.data());
  nlohmann::json read;
  try {
    switch (format) {
      case argument_format::json:
        read = nlohmann::json::parse(begin, begin + bytes.size());
        break;
      case argument_format::messagepack:
        read = nlohmann::json::from_msgpack(begin, begin + bytes.size());
        break;
      case argument_format::signed_pickle:
        throw message_refused("its arguments are a pickle, which only Python can read");
      default:
        throw message_refused("its arguments are in a format that is not known here");
    }
  } catch (const nlohmann::json::exception& damaged) {
    throw message_refused("its arguments cannot be read: " + std::string(damaged.what()));
  }
  if (read.is_object() && read.contains("args")) {
    if (read.contains("kwargs") && !read["kwargs"].empty()) {
      throw message_refused("it has arguments by keyword, which C++ does not know");
    }
    read = nlohmann::json(read["args"]);
  }
  if (!read.is_array()) throw message_refused("its arguments are no array");
  if (read.size() != wanted) {
    throw message_refused("its function takes " + std::to_string(wanted) +
                          " arguments, and the message has " + std::to_string(read.size()));
  }
  return read;
}

void use_tmpdir(const std::string& directory) {
  // The worker runs one attempt at a time, and no other thread of ours reads the environment.
  if (!directory.empty()) ::setenv("TMPDIR", directory.c_str(), 1);
}

void refuse_argument(std::size_t index, const char* why) {
  throw message_refused("its argument " + std::to_string(index + 1) + " does not fit: " + why);
}

}  // namespace hardstop::detail
