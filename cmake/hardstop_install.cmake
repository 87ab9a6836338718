# Install rules and the package that find_package(hardstop) finds.
include_guard()
include(CMakePackageConfigHelpers)

set(hardstop_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/hardstop")

install(TARGETS hardstop EXPORT hardstop_targets)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/hardstop" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(
  EXPORT hardstop_targets
  NAMESPACE hardstop::
  FILE hardstop_targets.cmake
  DESTINATION "${hardstop_package_dir}")
if(TARGET hardstop_service)
  install(TARGETS hardstop_service EXPORT hardstop_service_targets)
  install(
    EXPORT hardstop_service_targets
    NAMESPACE hardstop::
    FILE hardstop_service_targets.cmake
    DESTINATION "${hardstop_package_dir}")
endif()
if(TARGET hardstop_cli)
  install(TARGETS hardstop_cli)
endif()

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/hardstop-config.cmake.in" "${PROJECT_BINARY_DIR}/hardstop-config.cmake"
  INSTALL_DESTINATION "${hardstop_package_dir}"
  NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may break: 0.2 does not satisfy a request for 0.1.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/hardstop-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/hardstop-config.cmake" "${PROJECT_BINARY_DIR}/hardstop-config-version.cmake"
        DESTINATION "${hardstop_package_dir}")
