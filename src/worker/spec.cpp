#include "worker/spec.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <exception>

#include "os/mapping.hpp"
#include <hardstop/codec.hpp>

namespace hardstop::worker {

// An enumeration as a number that is checked when it comes back.
template <class Archive, class Enum>
void travel(Archive& archive, Enum& value, Enum last) {
  auto number = static_cast<std::uint8_t>(value);
  archive(number);
  if (number > static_cast<std::uint8_t>(last)) throw cereal::Exception("an unknown choice");
  value = static_cast<Enum>(number);
}

template <class Archive>
void serialize(Archive& archive, resource_limit& limit) {
  archive(limit.resource, limit.soft, limit.hard);
}

template <class Archive>
void serialize(Archive& archive, environment& value) {
  travel(archive, value.standard_input, stream::null);
  travel(archive, value.standard_output, stream::capture);
  travel(archive, value.standard_error, stream::capture);
  archive(value.inherit_variables, value.variables, value.working_directory, value.umask,
          value.nice, value.affinity, value.limits, value.reset_signals);
}

template <class Archive>
void serialize(Archive& archive, spec& value) {
  archive(value.environment, value.initializer.module, value.initializer.offset,
          value.initializer_arguments, value.most_zombies, value.runtime);
  travel(archive, value.pages, wire::page_choice::huge);
}

namespace {

// Nobody writes more than some environment variables and an initializer's arguments into it.
constexpr std::size_t largest_spec = std::size_t{1} << 30;

os::error malformed() {
  return {.code = EBADMSG, .operation = "reading what a worker is told"};
}

}  // namespace

std::vector<std::byte> encode_spec(const spec& value) {
  detail::encoder out{detail::encoder::flat{}};
  detail::output_archive archive{out};
  archive(const_cast<spec&>(value));  // one function for both directions; this one reads
  const auto bytes = out.bytes();
  return {bytes.begin(), bytes.end()};
}

os::result<spec> decode_spec(std::span<const std::byte> bytes) {
  try {
    detail::decoder in{bytes};
    detail::input_archive archive{in};
    spec value;
    archive(value);
    if (in.remaining() != 0) return malformed();
    return value;
  } catch (const std::exception&) {
    return malformed();
  }
}

os::result<os::descriptor> write_spec(const spec& value) {
  const auto bytes = encode_spec(value);
  auto file = os::make_memory_file("hardstop-spec", bytes.size(), os::allocation::up_front);
  if (!file) return file.error();
  const auto written = pwrite(file->get(), bytes.data(), bytes.size(), 0);
  if (written != static_cast<ssize_t>(bytes.size())) {
    return os::last_error("writing what a worker is told");
  }
  return std::move(*file);
}

os::result<spec> read_spec(const os::descriptor& file) {
  const auto size = os::sealed_size(file);
  if (!size) return size.error();
  if (*size == 0 || *size > largest_spec) return malformed();
  std::vector<std::byte> bytes(*size);
  // Not read(): all workers share one offset.
  const auto got = pread(file.get(), bytes.data(), bytes.size(), 0);
  if (got != static_cast<ssize_t>(bytes.size()))
    return os::last_error("reading what a worker is told");
  return decode_spec(bytes);
}

}  // namespace hardstop::worker
