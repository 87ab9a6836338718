# How targets of this project are compiled. Nothing here reaches a consumer's own targets.
include_guard()

# Settings that are ours to choose only when nobody includes us.
macro(hardstop_top_level_defaults)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  find_program(HARDSTOP_CCACHE ccache)
  if(HARDSTOP_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${HARDSTOP_CCACHE}")
  endif()
  if(HARDSTOP_SANITIZE)
    list(JOIN HARDSTOP_SANITIZE "," sanitizers)
    add_compile_options(-fsanitize=${sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${sanitizers})
    if("thread" IN_LIST HARDSTOP_SANITIZE)
      # Asio brackets its handlers with fences, which ThreadSanitizer does not model and g++ therefore
      # warns of. It synchronises through its mutexes and descriptors besides, and no code of ours has
      # a fence: the warning stays on for that.
      add_compile_definitions(ASIO_DISABLE_FENCED_BLOCK BOOST_ASIO_DISABLE_FENCED_BLOCK)
    endif()
  endif()
endmacro()

# Language level, warnings and private include directory of one of our targets.
function(hardstop_compile_settings target)
  set_target_properties(${target} PROPERTIES CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  # Clang counts among the conversions those of signs, which system headers are full of; g++ does not.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>)
  if(HARDSTOP_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# An executable of ours that may look behind the public headers.
function(hardstop_add_executable target)
  add_executable(${target} ${ARGN})
  hardstop_compile_settings(${target})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(${target} PRIVATE hardstop::hardstop)
endfunction()

macro(hardstop_add_subdirectory_if_present folder)
  if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt")
    add_subdirectory(${folder})
  endif()
endmacro()

# What the scripts ask for by name, whatever a preset leaves out.
function(hardstop_top_level_targets)
  add_custom_target(hardstop_setup DEPENDS hardstop)
  if(TARGET hardstop_cli)
    add_dependencies(hardstop_setup hardstop_cli)
  endif()
  foreach(label asan asan_too tsan tsan_too)
    if(NOT TARGET tests_${label})
      add_custom_target(tests_${label})
    endif()
  endforeach()
  get_property(fuzzers GLOBAL PROPERTY HARDSTOP_FUZZERS)
  list(JOIN fuzzers "\n" lines)
  file(WRITE "${PROJECT_BINARY_DIR}/fuzzers.txt" "${lines}\n")
endfunction()
