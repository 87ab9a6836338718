# Run by CTest: copies the consumer to a place outside the tree, configures, builds and runs it there.
if(DEFINED ENV{TMPDIR})
  set(place "$ENV{TMPDIR}")
else()
  set(place /tmp)
endif()
string(RANDOM LENGTH 12 unique)
set(place "${place}/consumer-${KIND}-${unique}")

macro(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    file(REMOVE_RECURSE "${place}")
    message(FATAL_ERROR "${what} (${KIND}) failed with ${status}:\n${output}")
  endif()
endmacro()

file(COPY "${CMAKE_CURRENT_LIST_DIR}/project/" DESTINATION "${place}/source")
if(KIND STREQUAL "installed")
  run("installing" ${CMAKE_COMMAND} --install "${HARDSTOP_BINARY_DIR}" --prefix "${place}/prefix")
endif()
run("configuring" ${CMAKE_COMMAND} -G Ninja -S "${place}/source" -B "${place}/build" -DKIND=${KIND}
    -DHARDSTOP_SOURCE_DIR=${HARDSTOP_SOURCE_DIR} -DCMAKE_PREFIX_PATH=${place}/prefix
    -DCMAKE_BUILD_TYPE=${CONFIG} -DCMAKE_CXX_COMPILER=${CXX_COMPILER}
    -DCMAKE_CXX_COMPILER_LAUNCHER=${CXX_COMPILER_LAUNCHER})
run("building" ${CMAKE_COMMAND} --build "${place}/build")
run("running" "${place}/build/consumer")
if(KIND STREQUAL "installed")
  run("running" "${place}/build/consumer_service")
endif()
file(REMOVE_RECURSE "${place}")
