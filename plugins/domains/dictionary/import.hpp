#pragma once

#include <calm/domain.h>

namespace calm::dictionary {

/// Reads dictd databases into dictionary records (spec L.4). Option `l_max` (default 768): entries
/// are shortened to fit. Throws Error.
void import_databases(const calm_import &request, const calm_host *host);

}  // namespace calm::dictionary
