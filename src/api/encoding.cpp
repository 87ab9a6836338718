#include <hardstop/detail/encoding.hpp>
#include <hardstop/errors.hpp>

namespace hardstop::detail {

void throw_too_short() {
  throw decode_error(
      "a message between client and worker ends too early. If the types' own serialization reads "
      "what it wrote, the job has overwritten its result: look for a wild pointer in it");
}

void throw_bad_length() {
  throw decode_error(
      "a message between client and worker names a length that it cannot hold. If the types' own "
      "serialization reads what it wrote, the job has overwritten its result: look for a wild "
      "pointer in it");
}

void throw_too_deep() {
  throw decode_error("a value between client and worker is nested more than " +
                     std::to_string(decoder::nesting_limit) +
                     " objects deep: send it flat, for instance as a vector with indices");
}

void throw_too_deep_to_write() {
  throw encode_error("a value is nested more than " + std::to_string(decoder::nesting_limit) +
                     " objects deep: send it flat, for instance as a vector with indices");
}

void encoder::append_segment(std::span<const std::byte> range, lifetime life) {
  if (sink_.put != nullptr) return sink_.put(sink_.context, range);
  if (life == lifetime::passing) {
    owned_.push_back(std::make_unique_for_overwrite<std::byte[]>(range.size()));
    std::memcpy(owned_.back().get(), range.data(), range.size());
    range = {owned_.back().get(), range.size()};
  }
  segments_.push_back(range);
}

void encoder::grow(std::size_t more) {
  const std::size_t wanted = std::max(size_ + more, capacity_ * 2);
  auto larger = std::make_unique_for_overwrite<std::byte[]>(wanted);
  std::memcpy(larger.get(), begin_, size_);
  large_ = std::move(larger);
  begin_ = large_.get();
  capacity_ = wanted;
}

std::span<const std::byte> decoder::read_segment(std::size_t size) {
  if (segments_.find == nullptr) throw_bad_length();
  const auto whole = segments_.find(segments_.context, next_segment_++);
  if (whole.size() < size) throw_bad_length();
  return whole.first(size);
}

}  // namespace hardstop::detail
