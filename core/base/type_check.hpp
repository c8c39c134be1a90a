#pragma once

#include <calm/tensor.h>

namespace calm {

/// Whether a type a plugin made can be one: a dtype that exists, up to CALM_MAX_RANK extents, none
/// negative, and a number of bytes that is counted without overflow and smaller than an address
/// space. [any]
bool is_type(const calm_type &type) noexcept;

}  // namespace calm
