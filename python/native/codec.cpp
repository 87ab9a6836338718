#include "codec.hpp"

#include <cstring>
#include <limits>

#include "large_copy.hpp"

namespace hardstop::python {

namespace {

enum class tag : char {
  none = 'N',
  yes = 'T',
  no = 'F',
  integer = 'i',
  real = 'f',
  text = 's',
  bytes = 'b',
  long_text = 'S',
  long_bytes = 'B',
  tuple = '(',
};

constexpr int deepest = 16;

using length = std::uint32_t;

void put_tag(tag what, writer& into) {
  into.put_value(static_cast<char>(what));
}

bool write_run(std::span<const std::byte> run, tag shorter, tag longer, writer& into) {
  if (run.size() >= segment_threshold) {
    put_tag(longer, into);
    return into.put_segment(run);
  }
  put_tag(shorter, into);
  into.put_value(static_cast<length>(run.size()));
  into.put(run.data(), run.size());
  return true;
}

bool write_integer(PyObject* value, writer& into) {
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow != 0) return false;
  put_tag(tag::integer, into);
  into.put_value(static_cast<std::int64_t>(number));
  return true;
}

bool write_text(PyObject* value, writer& into) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(value, &size);
  if (text == nullptr) {  // a lone surrogate
    PyErr_Clear();
    return false;
  }
  return write_run(std::as_bytes(std::span(text, static_cast<std::size_t>(size))), tag::text,
                   tag::long_text, into);
}

bool write_at(PyObject* value, writer& into, int depth) {
  if (value == Py_None) {
    put_tag(tag::none, into);
  } else if (PyBool_Check(value)) {
    put_tag(value == Py_True ? tag::yes : tag::no, into);
  } else if (PyLong_CheckExact(value)) {
    return write_integer(value, into);
  } else if (PyFloat_CheckExact(value)) {
    put_tag(tag::real, into);
    into.put_value(PyFloat_AS_DOUBLE(value));
  } else if (PyUnicode_CheckExact(value)) {
    return write_text(value, into);
  } else if (PyBytes_CheckExact(value)) {
    const auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(value));
    return write_run(std::as_bytes(std::span(PyBytes_AS_STRING(value), size)), tag::bytes,
                     tag::long_bytes, into);
  } else if (PyTuple_CheckExact(value) && depth < deepest) {
    const Py_ssize_t count = PyTuple_GET_SIZE(value);
    if (count > std::numeric_limits<std::int32_t>::max()) return false;
    put_tag(tag::tuple, into);
    into.put_value(static_cast<length>(count));
    for (Py_ssize_t at = 0; at < count; ++at) {
      if (!write_at(PyTuple_GET_ITEM(value, at), into, depth + 1)) return false;
    }
  } else {
    return false;
  }
  return true;
}

class reader {
 public:
  reader(std::span<const std::byte> bytes, segment_lookup segments)
      : rest_(bytes), segments_(segments) {}

  [[nodiscard]] bool at_end() const { return rest_.empty(); }

  PyObject* value(int depth) {
    char kind = 0;
    if (!get(kind)) return broken();
    switch (static_cast<tag>(kind)) {
      case tag::none:
        Py_RETURN_NONE;
      case tag::yes:
        Py_RETURN_TRUE;
      case tag::no:
        Py_RETURN_FALSE;
      case tag::integer:
        return number<std::int64_t>([](std::int64_t n) { return PyLong_FromLongLong(n); });
      case tag::real:
        return number<double>([](double n) { return PyFloat_FromDouble(n); });
      case tag::text:
        return run(inline_run(), &text_of);
      case tag::bytes:
        return run(inline_run(), &bytes_of);
      case tag::long_text:
        return run(next_segment(), &text_of);
      case tag::long_bytes:
        return run(next_segment(), &bytes_of);
      case tag::tuple:
        return depth < deepest ? tuple(depth) : broken();
    }
    return broken();
  }

 private:
  static PyObject* broken() {
    PyErr_SetString(PyExc_ValueError, "the bytes are no value");
    return nullptr;
  }

  template <class T>
  bool get(T& into) {
    if (rest_.size() < sizeof into) return false;
    std::memcpy(&into, rest_.data(), sizeof into);
    rest_ = rest_.subspan(sizeof into);
    return true;
  }

  template <class T, class Make>
  PyObject* number(Make make) {
    T read{};
    return get(read) ? make(read) : broken();
  }

  std::span<const std::byte> inline_run() {
    length size = 0;
    if (!get(size) || size > rest_.size()) {
      bad_ = true;
      return {};
    }
    const auto found = rest_.first(size);
    rest_ = rest_.subspan(size);
    return found;
  }

  std::span<const std::byte> next_segment() {
    const auto found = segments_.find(segments_.holder, used_segments_++);
    if (found.empty()) bad_ = true;
    return found;
  }

  PyObject* run(std::span<const std::byte> bytes, PyObject* (*make)(const char*, Py_ssize_t)) {
    if (bad_) return broken();
    return make(reinterpret_cast<const char*>(bytes.data()), static_cast<Py_ssize_t>(bytes.size()));
  }

  // Copies before it looks: a segment may still change.
  static PyObject* bytes_of(const char* bytes, Py_ssize_t size) {
    PyObject* made = PyBytes_FromStringAndSize(nullptr, size);
    if (made != nullptr) {
      copy_large(PyBytes_AS_STRING(made), bytes, static_cast<std::size_t>(size));
    }
    return made;
  }

  static PyObject* text_of(const char* bytes, Py_ssize_t size) {
    if (static_cast<std::size_t>(size) < segment_threshold) {
      return PyUnicode_DecodeUTF8(bytes, size, nullptr);
    }
    const object copy = object::steal(bytes_of(bytes, size));
    if (!copy) return nullptr;
    return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(copy.get()), size, nullptr);
  }

  PyObject* tuple(int depth) {
    length count = 0;
    // Each item takes a byte at least.
    if (!get(count) || count > rest_.size()) return broken();
    object made = object::steal(PyTuple_New(static_cast<Py_ssize_t>(count)));
    if (!made) return nullptr;
    for (length at = 0; at < count; ++at) {
      PyObject* item = value(depth + 1);
      if (item == nullptr) return nullptr;
      PyTuple_SET_ITEM(made.get(), static_cast<Py_ssize_t>(at), item);
    }
    return made.release();
  }

  std::span<const std::byte> rest_;
  segment_lookup segments_;
  std::size_t used_segments_ = 0;
  bool bad_ = false;
};

}  // namespace

bool write_plain(PyObject* value, writer& into) {
  return write_at(value, into, 0);
}

PyObject* read_plain(std::span<const std::byte> bytes, segment_lookup segments) {
  reader from(bytes, segments);
  object made = object::steal(from.value(0));
  if (made && !from.at_end()) {
    PyErr_SetString(PyExc_ValueError, "there are bytes behind the value");
    return nullptr;
  }
  return made.release();
}

}  // namespace hardstop::python
