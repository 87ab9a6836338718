#include "calls.hpp"

namespace hardstop::python {

namespace {

class call_writer final : public writer {
 public:
  explicit call_writer(detail::encoder& into) : into_(into) {}

  void put(const void* bytes, std::size_t size) override { into_.append(bytes, size); }

  bool put_segment(std::span<const std::byte> bytes) override {
    // Strings and bytes do not change while they live, and the caller holds the arguments.
    into_.append_bare_segment(bytes);
    return true;
  }

 private:
  detail::encoder& into_;
};

}  // namespace

const function_table::known* function_table::find(PyObject* function) const {
  const auto found = known_.find(function);
  return found == known_.end() ? nullptr : &found->second;
}

void function_table::note(PyObject* function, PyObject* blob, std::string_view name) {
  known_.insert_or_assign(function, known{.function = object::borrow(function),
                                          .blob = object::borrow(blob),
                                          .name = lasting_name(name)});
}

std::string_view lasting_name(std::string_view name) {
  static auto* const names = new std::unordered_set<std::string>;
  return *names->emplace(name).first;
}

void write_function(format how, PyObject* blob, detail::encoder& into) {
  const auto size = static_cast<std::uint32_t>(PyBytes_GET_SIZE(blob));
  into.append_value(how);
  into.append_value(size);
  into.append(PyBytes_AS_STRING(blob), size);
}

bool write_plain_call(PyObject* blob, PyObject* args, detail::encoder& into) {
  write_function(format::plain_call, blob, into);
  call_writer out(into);
  return write_plain(args, out);
}

pickled_call::pickled_call(PyObject* pair) {
  PyObject* buffers = nullptr;
  PyObject* payload = nullptr;
  if (PyArg_ParseTuple(pair, "SO!", &payload, &PyList_Type, &buffers) == 0) throw python_error();
  payload_ = object::borrow(payload);
  for (Py_ssize_t at = 0; at < PyList_GET_SIZE(buffers); ++at) {
    Py_buffer view;
    if (PyObject_GetBuffer(PyList_GET_ITEM(buffers, at), &view, PyBUF_CONTIG_RO) != 0) {
      for (Py_buffer& each : buffers_)
        PyBuffer_Release(&each);
      throw python_error();
    }
    buffers_.push_back(view);
  }
}

pickled_call::~pickled_call() {
  for (Py_buffer& each : buffers_)
    PyBuffer_Release(&each);
}

void pickled_call::write(detail::encoder& into) const {
  into.append(PyBytes_AS_STRING(payload_.get()),
              static_cast<std::size_t>(PyBytes_GET_SIZE(payload_.get())));
  for (const Py_buffer& each : buffers_) {
    into.append_bare_segment(
        {static_cast<const std::byte*>(each.buf), static_cast<std::size_t>(each.len)});
  }
}

}  // namespace hardstop::python
