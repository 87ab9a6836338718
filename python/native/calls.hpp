// A call on its way to a worker: a function and its arguments become a payload.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "codec.hpp"
#include "python.hpp"
#include <hardstop/detail/encoding.hpp>

namespace hardstop::python {

// The functions that a pool's workers find by name, each with what it is called there. Asking
// Python's side for that takes as long as a whole job.
class function_table {
 public:
  struct known {
    object function;  // keeps the address from being used again
    object blob;      // bytes
    std::string_view name;
  };

  // Null if it was not noted.
  const known* find(PyObject* function) const;
  void note(PyObject* function, PyObject* blob, std::string_view name);

  void clear() { known_.clear(); }

 private:
  std::unordered_map<PyObject*, known> known_;
};

// One copy of each name, for ever: the engine keeps views of them. With the GIL.
std::string_view lasting_name(std::string_view name);

// The function of a call, by the bytes that name it; what follows is as the format says.
void write_function(format how, PyObject* blob, detail::encoder& into);

// Writes plain calls. False: pickle's; the encoder is to be thrown away.
bool write_plain_call(PyObject* blob, PyObject* args, detail::encoder& into);

// Writes what Python's side has pickled: a payload (with its format byte) and buffers, whose memory
// must stay until submit() has returned.
class pickled_call {
 public:
  // Takes a tuple (payload, [buffers]). Throws python_error.
  explicit pickled_call(PyObject* pair);
  pickled_call(const pickled_call&) = delete;
  pickled_call& operator=(const pickled_call&) = delete;
  ~pickled_call();

  void write(detail::encoder& into) const;

 private:
  object payload_;
  std::vector<Py_buffer> buffers_;
};

}  // namespace hardstop::python
