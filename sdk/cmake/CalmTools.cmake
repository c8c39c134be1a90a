# Build targets `format`, `format-check` and `tidy`, and `coverage` where it is switched on. A tool that
# is not installed makes its target fail with the package to install, never pass in silence.

include_guard(GLOBAL)

find_program(CALM_CLANG_FORMAT NAMES clang-format-14 clang-format)
find_program(CALM_RUN_CLANG_TIDY NAMES run-clang-tidy-14 run-clang-tidy)
find_program(CALM_GCOVR gcovr)
mark_as_advanced(CALM_CLANG_FORMAT CALM_RUN_CLANG_TIDY CALM_GCOVR)

set(calm_rooms sdk core plugins backends frontends tests bench)

function(calm_tool_target name program package)
  if(program)
    add_custom_target(${name} COMMAND ${ARGN} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
                                              VERBATIM USES_TERMINAL)
  else()
    add_custom_target(
      ${name}
      COMMAND ${CMAKE_COMMAND} -E echo "${name}: not installed; try ./setup.sh deps --tools (${package})"
      COMMAND ${CMAKE_COMMAND} -E false
      VERBATIM)
  endif()
endfunction()

# The files are found when the target runs, so a new one is never missed.
set(calm_find_sources "find ${calm_rooms} -type f \\( -name '*.[ch]' -o -name '*.[ch]pp' \\) -print0")
string(REPLACE ";" " " calm_find_sources "${calm_find_sources}")
calm_tool_target(format "${CALM_CLANG_FORMAT}" clang-format sh -c
                 "${calm_find_sources} | xargs -0 '${CALM_CLANG_FORMAT}' -i")
calm_tool_target(format-check "${CALM_CLANG_FORMAT}" clang-format sh -c
                 "${calm_find_sources} | xargs -0 '${CALM_CLANG_FORMAT}' --dry-run --Werror")

# Generated files (plugin notes) are in the build tree and stay out.
calm_tool_target(
  tidy "${CALM_RUN_CLANG_TIDY}" clang-tidy "${CALM_RUN_CLANG_TIDY}" -quiet -p "${PROJECT_BINARY_DIR}"
  "^${PROJECT_SOURCE_DIR}/(sdk|core|plugins|backends|frontends|tests|bench)/.*\\.c(pp)?$")

if(CALM_COVERAGE)
  calm_tool_target(coverage "${CALM_GCOVR}" gcovr "${CALM_GCOVR}" --root "${PROJECT_SOURCE_DIR}"
                   --exclude tests/ --exclude bench/ --print-summary --html-details
                   "${PROJECT_BINARY_DIR}/coverage.html" "${PROJECT_BINARY_DIR}")
endif()
