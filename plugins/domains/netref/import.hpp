#pragma once

#include <calm/domain.h>

namespace calm::netref {

/// Reads manual pages, plain texts and RFCs, gzip or not, folders of them too. Option `l_max`
/// (default 768): passages are cut to fit. Each record is a question and one passage:
///
///   <QUERY>open: return value
///   <ATN>
///   <REF>On success, open() returns the new file descriptor ...
///
/// With the option `pairs` it is a pair of spec H.2 instead, for contrastive training: no query and
/// no passage occurs twice, a query has at least 5 characters and a passage 20.
void import_references(const calm_import &request, const calm_host *host);

}  // namespace calm::netref
