# Run by CTest: SOURCE must not compile, and the compiler must say what EXPECT matches.
list(TRANSFORM INCLUDES PREPEND -I)
set(command ${COMPILER} -std=c++20 -fsyntax-only -fdiagnostics-color=never ${INCLUDES} ${SOURCE})

execute_process(COMMAND ${command} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles, but it is a mistake that the compiler should have refused.")
endif()
if(NOT output MATCHES "${EXPECT}")
  message(FATAL_ERROR "${SOURCE} fails to compile, but the message does not match\n  ${EXPECT}\nThe compiler said:\n${output}")
endif()

if(CONTROL)
  execute_process(COMMAND ${command} -DHARDSTOP_CONTROL RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${SOURCE} should compile with -DHARDSTOP_CONTROL. The compiler said:\n${output}")
  endif()
endif()
