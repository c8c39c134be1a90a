# calm_plugin(NAME <name>
#             PROVIDES "<kind>:<id>/<revision>" ...
#             SOURCES <file> ...
#             [ID <id>] [VERSION <version>] [LINK <library> ...])
#
# Builds the plugin <name>.so as target <name>. The library exports calm_plugin_query and nothing else,
# and carries an ELF note with what it provides, so that a host lists it without running its code:
#
#   section .note.calm, owner "calm", type 1; descriptor, little-endian:
#     u32 abi      (major << 16) | minor of the headers it was compiled with
#     u32 count    number of provides
#     text         plugin id LF, then kind:id/revision LF for each; UTF-8, zero padded to 4 bytes
#
# PROVIDES repeats the table that calm_plugin_query returns; kind is operator, backend, format,
# tokenizer, model, trainer or domain. ID defaults to NAME, VERSION to the project's; sources see both
# as CALM_PLUGIN_ID and CALM_PLUGIN_VERSION. Installed to lib/calm/plugins.

include_guard(GLOBAL)

set(CALM_PLUGIN_TEMPLATE_DIR "${CMAKE_CURRENT_LIST_DIR}")

function(calm_plugin)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;ID;VERSION" "PROVIDES;SOURCES;LINK")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "calm_plugin: unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  foreach(required NAME PROVIDES SOURCES)
    if(NOT arg_${required})
      message(FATAL_ERROR "calm_plugin: ${required} is missing")
    endif()
  endforeach()
  if(NOT arg_ID)
    set(arg_ID "${arg_NAME}")
  endif()
  if(NOT arg_VERSION)
    set(arg_VERSION "${PROJECT_VERSION}")
  endif()
  if(NOT arg_ID MATCHES "^[a-z0-9_.-]+$")
    message(FATAL_ERROR "calm_plugin: id \"${arg_ID}\" must be made of a-z, 0-9, _ . -")
  endif()
  set(kinds "operator|backend|format|tokenizer|model|trainer|domain")
  foreach(provided IN LISTS arg_PROVIDES)
    if(NOT provided MATCHES "^(${kinds}):[a-z0-9_.-]+/[1-9][0-9]*$")
      message(FATAL_ERROR "calm_plugin(${arg_NAME}): expected kind:id/revision with kind one of "
                          "${kinds}, found \"${provided}\"")
    endif()
  endforeach()

  # The note. Its text is C source, so the ABI number comes from the headers compiled against.
  list(LENGTH arg_PROVIDES note_count)
  list(JOIN arg_PROVIDES "\n" note_text)
  set(note_text "${arg_ID}\n${note_text}\n")
  string(LENGTH "${note_text}" note_bytes)
  math(EXPR note_bytes "(${note_bytes} + 3) / 4 * 4")
  string(REPLACE "\n" "\\n\"\n    \"" note_literal "\"${note_text}\"")
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}.calm")
  configure_file("${CALM_PLUGIN_TEMPLATE_DIR}/note.c.in" "${generated}/note.c" @ONLY)
  file(CONFIGURE OUTPUT "${generated}/exports.map"
       CONTENT "{\n  global: calm_plugin_query;\n  local: *;\n};\n")
  # A sanitizer would pad the note with red zones, and a reader would find it torn.
  set_source_files_properties("${generated}/note.c" PROPERTIES COMPILE_OPTIONS -fno-sanitize=all)

  add_library(${arg_NAME} MODULE ${arg_SOURCES} "${generated}/note.c")
  target_link_libraries(${arg_NAME} PRIVATE calm::sdk ${arg_LINK})
  target_compile_definitions(${arg_NAME} PRIVATE CALM_PLUGIN_ID="${arg_ID}"
                                                 CALM_PLUGIN_VERSION="${arg_VERSION}")
  set_target_properties(
    ${arg_NAME}
    PROPERTIES PREFIX ""
               SUFFIX ".so"
               C_VISIBILITY_PRESET hidden
               CXX_VISIBILITY_PRESET hidden
               VISIBILITY_INLINES_HIDDEN ON
               POSITION_INDEPENDENT_CODE ON
               BUILD_WITH_INSTALL_RPATH ON
               INSTALL_RPATH "$ORIGIN/../lib"
               LINK_DEPENDS "${generated}/exports.map")
  target_link_options(
    ${arg_NAME} PRIVATE "-Wl,--version-script=${generated}/exports.map"
    -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--enable-new-dtags)
  # The sanitizers' own symbols are found in the host.
  if(NOT "${CALM_SANITIZE} ${CMAKE_CXX_FLAGS} ${CMAKE_SHARED_LINKER_FLAGS}" MATCHES
     "address|undefined|thread|memory|fuzzer|sanitize")
    target_link_options(${arg_NAME} PRIVATE -Wl,--no-undefined)
  endif()

  if(TARGET calm_build_flags)
    target_link_libraries(${arg_NAME} PRIVATE calm_build_flags)
  endif()
  if(CALM_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${arg_NAME} PROPERTIES LIBRARY_OUTPUT_DIRECTORY
                                                 "${CALM_PLUGIN_OUTPUT_DIRECTORY}")
  endif()
  set_property(GLOBAL APPEND PROPERTY CALM_PLUGIN_TARGETS ${arg_NAME})
  install(TARGETS ${arg_NAME} LIBRARY DESTINATION lib/calm/plugins)
endfunction()
