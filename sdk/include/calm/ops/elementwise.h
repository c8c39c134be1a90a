/* Binary, with a broadcast second operand: add/1, sub/1, mul/1, div/1
 *   a real [...], b of a's shape, or [last extent of a], or a scalar -> a's type
 * Unary, any shape: neg/1, exp/1, log/1, sqrt/1, square/1, sigmoid/1, tanh/1 */
#pragma once

#define CALM_OP_ADD "add"
#define CALM_OP_SUB "sub"
#define CALM_OP_MUL "mul"
#define CALM_OP_DIV "div"
#define CALM_OP_NEG "neg"
#define CALM_OP_EXP "exp"
#define CALM_OP_LOG "log"
#define CALM_OP_SQRT "sqrt"
#define CALM_OP_SQUARE "square"
#define CALM_OP_SIGMOID "sigmoid"
#define CALM_OP_TANH "tanh"
