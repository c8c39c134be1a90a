# calm_build_flags: warnings and hardening of every part built in this tree. Never exported: what a
# plugin of yours is compiled with is your choice.
#
# No fast-math anywhere: it deletes the isnan checks that guard training, and a shared object linked
# with it by gcc < 13 switches the whole host to flush-to-zero when it is loaded.

include_guard(GLOBAL)
include(CheckCXXCompilerFlag)
include(CheckPIESupported)

set(CMAKE_C_STANDARD 11)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib")
check_pie_supported(LANGUAGES C CXX)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release or RelWithDebInfo" FORCE)
endif()

find_program(CALM_CCACHE ccache)
mark_as_advanced(CALM_CCACHE)
if(CALM_CCACHE)
  foreach(lang C CXX CUDA)
    if(NOT DEFINED CMAKE_${lang}_COMPILER_LAUNCHER)
      set(CMAKE_${lang}_COMPILER_LAUNCHER "${CALM_CCACHE}")
    endif()
  endforeach()
endif()

set(CALM_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined")
option(CALM_COVERAGE "Instrument for gcov" OFF)
if(CALM_SANITIZE)
  # Everything must agree on instrumentation, so this is global instead of a property of a target.
  add_compile_options(-fsanitize=${CALM_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CALM_SANITIZE})
endif()
if(CALM_COVERAGE)
  add_compile_options(--coverage -fprofile-update=atomic)
  add_link_options(--coverage)
endif()

add_library(calm_build_flags INTERFACE)
target_compile_definitions(calm_build_flags INTERFACE _GLIBCXX_ASSERTIONS
                                                      CALM_VERSION_STRING="${PROJECT_VERSION}")
target_link_options(calm_build_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)

set(calm_warnings -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Werror=format-security
                  -Werror=return-type)
if(CALM_WERROR)
  list(APPEND calm_warnings -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms of gcc 12 at -O3 on std::string and std::vector (gcc bugs 105651, 105329, 105562).
  # clang, the sanitizers and -ftrivial-auto-var-init look after what these would find.
  list(APPEND calm_warnings -Wno-restrict -Wno-stringop-overflow $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
endif()

set(calm_hardening -fstack-protector-strong)
set(calm_optional -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard)
if(NOT CALM_SANITIZE)
  # Instrumented, gcc 12 takes it for the use of an uninitialized value.
  list(APPEND calm_optional -ftrivial-auto-var-init=zero)
endif()
foreach(flag IN LISTS calm_optional)
  string(MAKE_C_IDENTIFIER "CALM_HAS${flag}" has)
  # A flag for another processor or a later compiler fails here and is left out.
  set(CMAKE_REQUIRED_FLAGS -Werror)
  check_cxx_compiler_flag(${flag} ${has})
  unset(CMAKE_REQUIRED_FLAGS)
  if(${has})
    list(APPEND calm_hardening ${flag})
  endif()
endforeach()
if(NOT CALM_SANITIZE)
  # Needs optimisation, and the sanitizers check more.
  list(APPEND calm_hardening
       "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=3>")
endif()

target_compile_options(calm_build_flags
                       INTERFACE "$<$<COMPILE_LANGUAGE:C,CXX>:${calm_warnings};${calm_hardening}>")

# calm_exact_arithmetic(<target>): no contraction of a*b+c, so a source gives the same bits at every
# instruction-set level. The core and the reference backend ask for it; others decide for themselves.
function(calm_exact_arithmetic target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C,CXX>:-ffp-contract=off>)
endfunction()

# calm_note(<text>): a line of the summary printed at the end of configuration.
function(calm_note text)
  set_property(GLOBAL APPEND PROPERTY CALM_NOTES "${text}")
endfunction()

function(calm_print_summary)
  get_property(notes GLOBAL PROPERTY CALM_NOTES)
  get_property(plugins GLOBAL PROPERTY CALM_PLUGIN_TARGETS)
  list(JOIN plugins " " plugins)
  message(STATUS "calm ${PROJECT_VERSION}, ${CMAKE_BUILD_TYPE}; plugins: ${plugins}")
  foreach(note IN LISTS notes)
    message(STATUS "  ${note}")
  endforeach()
endfunction()
