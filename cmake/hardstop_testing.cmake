# The functions with which the folders of tests/ and fuzz/ add what they hold.
include_guard()

set(HARDSTOP_TEST_TIMEOUT 120 CACHE STRING "Seconds after which a test that names no TIMEOUT is killed")

# hardstop_add_test(NAME <name> SOURCES <file>...
#                   [LABELS <label>...] [TIMEOUT <seconds>] [LIBRARIES <target>...] [ARGS <argument>...]
#                   [ENVIRONMENT <VAR=value>...] [RUN_SERIAL] [OWN_MAIN])
#
# One GoogleTest executable and one CTest entry of the same name: a process per test case would cost
# more than most cases do. It sees the public headers, src/ and tests/.
#   LABELS      asan (also run under Address- and UndefinedBehaviorSanitizer), tsan (also run under
#               ThreadSanitizer), asan_too and tsan_too (likewise, but not within `make test`), slow; any
#               other word is for `ctest -L`.
#   RUN_SERIAL  nothing else runs meanwhile: for what measures time or counts processes.
#   OWN_MAIN    the sources bring main() (for example, to call hardstop::init first).
# Targets: <name>, and tests_<label> for each label builds all that carry it.
function(hardstop_add_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "RUN_SERIAL;OWN_MAIN" "NAME;TIMEOUT" "SOURCES;LABELS;LIBRARIES;ARGS;ENVIRONMENT")
  hardstop_require_arguments(hardstop_add_test NAME SOURCES)
  hardstop_add_executable(${arg_NAME} ${arg_SOURCES})
  target_include_directories(${arg_NAME} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(${arg_NAME} PRIVATE ${arg_LIBRARIES} GTest::gmock GTest::gtest)
  if(NOT arg_OWN_MAIN)
    target_link_libraries(${arg_NAME} PRIVATE GTest::gtest_main)
  endif()
  add_test(NAME ${arg_NAME} COMMAND ${arg_NAME} ${arg_ARGS})
  hardstop_test_properties(${arg_NAME})
endfunction()

# hardstop_add_compile_failure_test(<name> <file.cpp> EXPECT <regex> [CONTROL] [LABELS <label>...])
#
# Passes when compiling the file fails AND the compiler's output matches the regex. With CONTROL the
# file must also compile when HARDSTOP_CONTROL is defined, which shows that it fails for the one line
# that `#ifndef HARDSTOP_CONTROL` guards and for nothing else.
function(hardstop_add_compile_failure_test name file)
  cmake_parse_arguments(PARSE_ARGV 2 arg "CONTROL" "EXPECT;TIMEOUT" "LABELS")
  set(arg_NAME ${name})
  hardstop_require_arguments(hardstop_add_compile_failure_test EXPECT)
  get_filename_component(source "${file}" ABSOLUTE)
  add_test(
    NAME ${name}
    COMMAND
      ${CMAKE_COMMAND} "-DCOMPILER=${CMAKE_CXX_COMPILER}" "-DSOURCE=${source}" "-DEXPECT=${arg_EXPECT}"
      "-DCONTROL=${arg_CONTROL}" "-DINCLUDES=$<TARGET_PROPERTY:hardstop,INTERFACE_INCLUDE_DIRECTORIES>" -P
      "${PROJECT_SOURCE_DIR}/cmake/compile_failure.cmake")
  list(APPEND arg_LABELS compile_failure)
  hardstop_test_properties(${name})
endfunction()

# hardstop_add_fuzzer(NAME <name> SOURCES <file>... CORPUS <folder>)
#
# The sources define LLVMFuzzerTestOneInput. With HARDSTOP_BUILD_FUZZ it becomes a libFuzzer program
# that `make fuzz` runs, elsewhere a test that replays the corpus through the same function, so that
# what was once found stays found under every compiler and sanitizer.
function(hardstop_add_fuzzer)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;CORPUS;TIMEOUT" "SOURCES;LIBRARIES")
  hardstop_require_arguments(hardstop_add_fuzzer NAME SOURCES CORPUS)
  get_filename_component(corpus "${arg_CORPUS}" ABSOLUTE)
  if(HARDSTOP_BUILD_FUZZ)
    hardstop_add_executable(${arg_NAME} ${arg_SOURCES})
    target_link_options(${arg_NAME} PRIVATE -fsanitize=fuzzer)
    set_property(GLOBAL APPEND PROPERTY HARDSTOP_FUZZERS "${arg_NAME} ${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME} ${corpus}")
    add_dependencies(fuzzers ${arg_NAME})
  else()
    hardstop_add_executable(${arg_NAME} ${arg_SOURCES} "${PROJECT_SOURCE_DIR}/cmake/replay_corpus.cpp")
    add_test(NAME ${arg_NAME} COMMAND ${arg_NAME} "${corpus}")
    set(arg_LABELS fuzz asan)
    hardstop_test_properties(${arg_NAME})
  endif()
  target_link_libraries(${arg_NAME} PRIVATE ${arg_LIBRARIES})
endfunction()

# hardstop_optimise_little()
#
# For all that this folder and those below it compile in an optimised build: what runs for seconds is
# not worth the compiler's time. The library, which it tests, and the benchmarks are optimised.
function(hardstop_optimise_little)
  add_compile_options($<$<CONFIG:Release>:-O1>)
endfunction()

# Below: what the functions above share. It reads their arg_ variables.

function(hardstop_require_arguments caller)
  foreach(name IN LISTS ARGN)
    if(NOT arg_${name})
      message(FATAL_ERROR "${caller}: ${name} is missing")
    endif()
  endforeach()
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${caller}: cannot make sense of ${arg_UNPARSED_ARGUMENTS}")
  endif()
endfunction()

function(hardstop_test_properties name)
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT ${HARDSTOP_TEST_TIMEOUT})
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}")
  if(arg_RUN_SERIAL)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
  if(arg_ENVIRONMENT)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${arg_ENVIRONMENT}")
  endif()
  foreach(label IN LISTS arg_LABELS)
    if(NOT TARGET tests_${label})
      add_custom_target(tests_${label})
    endif()
    if(TARGET ${name})
      add_dependencies(tests_${label} ${name})
    endif()
  endforeach()
endfunction()

if(NOT TARGET fuzzers)
  add_custom_target(fuzzers)
endif()
