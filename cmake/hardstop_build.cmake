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
  endif()
endmacro()

# Language level, warnings and private include directory of one of our targets.
function(hardstop_compile_settings target)
  set_target_properties(${target} PROPERTIES CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
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
