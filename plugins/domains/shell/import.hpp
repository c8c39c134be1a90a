#pragma once

#include <calm/domain.h>

namespace calm::shell {

/// Reads shell histories (bash, zsh, fish), completion files of fish and manual pages, gzip or not,
/// folders of them too. Each record is a command, with the commands before it when it is from a
/// history:
///
///   <HIST>cd src
///   <ATN>
///   <CMD>git status
///
/// Commands that begin with a blank, span lines or may hold a secret are left out and counted.
/// Option `l_max` (default 768): the oldest commands before it go first.
void import_commands(const calm_import &request, const calm_host *host);

}  // namespace calm::shell
