// cereal's archives over our messages: how types with serialize functions travel.
//
// Reading trusts nothing: container sizes, nesting and the types of shared pointers are checked
// before cereal acts on them. Not an interface for users.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include <cereal/cereal.hpp>
#include <cereal/types/array.hpp>
#include <cereal/types/atomic.hpp>
#include <cereal/types/base_class.hpp>
#include <cereal/types/bitset.hpp>
#include <cereal/types/chrono.hpp>
#include <cereal/types/common.hpp>
#include <cereal/types/complex.hpp>
#include <cereal/types/deque.hpp>
#include <cereal/types/forward_list.hpp>
#include <cereal/types/list.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/queue.hpp>
#include <cereal/types/set.hpp>
#include <cereal/types/stack.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/tuple.hpp>
#include <cereal/types/unordered_map.hpp>
#include <cereal/types/unordered_set.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/valarray.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>

#include <hardstop/detail/encoding.hpp>
#include <hardstop/detail/raw.hpp>

namespace hardstop::detail {

class output_archive
    : public cereal::OutputArchive<output_archive, cereal::AllowEmptyClassElision> {
 public:
  explicit output_archive(encoder& out)
      : cereal::OutputArchive<output_archive, cereal::AllowEmptyClassElision>(this), out_(out) {}

  [[nodiscard]] encoder& out() const noexcept { return out_; }

  void enter() {
    if (++depth_ > decoder::nesting_limit) throw_too_deep_to_write();
  }

  void leave() noexcept { --depth_; }

 private:
  encoder& out_;
  std::size_t depth_ = 0;
};

class input_archive : public cereal::InputArchive<input_archive, cereal::AllowEmptyClassElision> {
  using base = cereal::InputArchive<input_archive, cereal::AllowEmptyClassElision>;

 public:
  explicit input_archive(decoder& in) : base(this), in_(in) {}

  [[nodiscard]] decoder& in() const noexcept { return in_; }

  // cereal keeps shared pointers without their types and casts them to whatever the reader expects.
  // These two stand before its own and let nothing be cast to what it is not.
  void registerSharedPointer(std::uint32_t id, std::shared_ptr<void> pointer) {  // NOLINT(*-naming)
    shared_types_.insert_or_assign(id & ~cereal::detail::msb_32bit, shared_type_);
    base::registerSharedPointer(id, std::move(pointer));
  }

  std::shared_ptr<void> getSharedPointer(std::uint32_t id) {  // NOLINT(*-naming)
    if (id == 0) return nullptr;
    const auto known = shared_types_.find(id);
    if (known == shared_types_.end() || known->second != shared_type_) throw_bad_length();
    return base::getSharedPointer(id);
  }

  void expect_shared(std::type_index type) noexcept { shared_type_ = type; }

 private:
  decoder& in_;
  std::type_index shared_type_ = typeid(void);
  std::map<std::uint32_t, std::type_index> shared_types_;
};

// cereal calls these around every object. They count how deep objects nest. Inlined, so that
// compilers see that they do not look at objects which are only about to be read.

template <class T>
[[gnu::always_inline]] inline void prologue(output_archive& archive, const T& /*value*/) {
  archive.enter();
}

template <class T>
[[gnu::always_inline]] inline void epilogue(output_archive& archive, const T& /*value*/) {
  archive.leave();
}

template <class T>
[[gnu::always_inline]] inline void prologue(input_archive& archive, const T& /*value*/) {
  archive.in().enter();
}

template <class T>
[[gnu::always_inline]] inline void prologue(
    input_archive& archive,
    const cereal::memory_detail::PtrWrapper<std::shared_ptr<T>&>& /*value*/) {
  archive.in().enter();
  archive.expect_shared(typeid(T));
}

template <class T>
[[gnu::always_inline]] inline void epilogue(input_archive& archive, const T& /*value*/) {
  archive.in().leave();
}

// Numbers, and what we know to travel faster than cereal would send it.

template <class T>
  requires std::is_arithmetic_v<T> || opted_in<T>
void save(output_archive& archive, const T& value) {
  archive.out().append_value(value);
}

template <class T>
  requires std::is_arithmetic_v<T> || opted_in<T>
void load(input_archive& archive, T& value) {
  read_raw(archive.in(), value);
}

template <raw_element T, class Allocator>
void save(output_archive& archive, const std::vector<T, Allocator>& value) {
  write_range(archive.out(), value, lifetime::passing);
}

template <raw_element T, class Allocator>
void load(input_archive& archive, std::vector<T, Allocator>& value) {
  read_range_into(archive.in(), value);
}

template <raw_element T, class Traits, class Allocator>
void save(output_archive& archive, const std::basic_string<T, Traits, Allocator>& value) {
  write_range(archive.out(), value, lifetime::passing);
}

template <raw_element T, class Traits, class Allocator>
void load(input_archive& archive, std::basic_string<T, Traits, Allocator>& value) {
  read_range_into(archive.in(), value);
}

template <has_codec T>
void save(output_archive& archive, const T& value) {
  write_with_codec(archive.out(), value);
}

template <has_codec T>
void load(input_archive& archive, T& value) {
  value = read_with_codec<T>(archive.in());
}

// cereal reverses the order of equal keys.
template <class Key, class T, class Less, class Allocator>
void load(input_archive& archive, std::multimap<Key, T, Less, Allocator>& map) {
  cereal::size_type count = 0;
  archive(cereal::make_size_tag(count));
  map.clear();
  for (cereal::size_type i = 0; i < count; ++i) {
    Key key;
    T value;
    archive(cereal::make_map_item(key, value));
    map.emplace_hint(map.end(), std::move(key), std::move(value));
  }
}

// What cereal's own functions are made of.

template <class T>
void save(output_archive& archive, const cereal::NameValuePair<T>& pair) {
  archive(pair.value);
}

template <class T>
void load(input_archive& archive, cereal::NameValuePair<T>& pair) {
  archive(pair.value);
}

template <class T>
void save(output_archive& archive, const cereal::SizeTag<T>& tag) {
  archive.out().append_value(static_cast<std::uint64_t>(tag.size));
}

template <class T>
void load(input_archive& archive, cereal::SizeTag<T>& tag) {
  const std::uint64_t count = archive.in().read_length();
  archive.in().claim_elements(count);
  tag.size = static_cast<std::remove_cvref_t<T>>(count);
}

template <class T>
void save(output_archive& archive, const cereal::BinaryData<T>& data) {
  archive.out().append(data.data, static_cast<std::size_t>(data.size));
}

template <class T>
void load(input_archive& archive, cereal::BinaryData<T>& data) {
  archive.in().read(data.data, static_cast<std::size_t>(data.size));
}

}  // namespace hardstop::detail

// A type may have cereal's functions and be plain, or have a codec, as well: ours count then.

namespace cereal {

template <class T>
  requires hardstop::detail::opted_in<T> || hardstop::detail::has_codec<T>
struct specialize<hardstop::detail::output_archive, T, specialization::non_member_load_save>
    : std::true_type {};

template <class T>
  requires hardstop::detail::opted_in<T> || hardstop::detail::has_codec<T>
struct specialize<hardstop::detail::input_archive, T, specialization::non_member_load_save>
    : std::true_type {};

}  // namespace cereal

CEREAL_REGISTER_ARCHIVE(hardstop::detail::output_archive)
CEREAL_REGISTER_ARCHIVE(hardstop::detail::input_archive)
CEREAL_SETUP_ARCHIVE_TRAITS(hardstop::detail::input_archive, hardstop::detail::output_archive)
