#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <string_view>
#include <typeinfo>

#include <hardstop/detail/call.hpp>

namespace hardstop::detail {

namespace {

void report(incoming_call& call, const std::type_info* type, std::string_view what) noexcept {
  if (type == nullptr) return call.fail("an exception of unknown type", what);

  struct freed {
    void operator()(char* text) const noexcept { std::free(text); }  // NOLINT(*-no-malloc)
  };

  int status = 0;
  const std::unique_ptr<char, freed> readable(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status));
  call.fail(readable ? readable.get() : type->name(), what);
}

}  // namespace

// A forced unwind (pthread_exit, a cancelled thread) has no object: the handler's reference is
// bound to null by the C++ runtime, which UndefinedBehaviorSanitizer reports as if the code had
// done it. Nothing looks at it.
__attribute__((no_sanitize("null"))) void report_current_exception(incoming_call& call) {
  try {
    throw;
  } catch (const abi::__forced_unwind&) {
    throw;  // glibc aborts a process that swallows it
  } catch (const std::exception& thrown) {
    report(call, &typeid(thrown), thrown.what());
  } catch (...) {
    report(call, abi::__cxa_current_exception_type(), {});
  }
}

}  // namespace hardstop::detail
