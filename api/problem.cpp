// SPDX-License-Identifier: Apache-2.0
#include "api/problem.hpp"

namespace natra::api {
namespace {

std::string print(const Json& document) {
    constexpr int indent = 2;  // for people with curl
    return document.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

int status_of(Error::Code code) {
    switch (code) {
    case Error::Code::invalid_argument: return 422;
    case Error::Code::not_found: return 404;
    case Error::Code::already_exists: return 409;
    case Error::Code::unsupported: return 422;
    case Error::Code::no_device:
    case Error::Code::mismatch: return 409;
    case Error::Code::access_denied: return 403;
    case Error::Code::unavailable: return 503;
    case Error::Code::kernel:
    case Error::Code::internal: break;
    }
    return 500;
}

}  // namespace

std::string_view reason_phrase(int status) {
    switch (status) {
    case 200: return "OK";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
    }
}

Response problem(int status, std::string_view detail, const Json& more) {
    Json document = {{"type", "about:blank"}, {"title", reason_phrase(status)}, {"status", status}, {"detail", detail}};
    document.update(more);
    return {.status = status, .content_type = "application/problem+json", .body = print(document), .headers = {}};
}

Response wrong_value(int status, std::string_view field, const Json& value, std::string_view detail) {
    return problem(status, concat(field, ": ", detail), {{"field", field}, {"value", value}});
}

Response problem(const Error& error) { return problem(status_of(error.code), error.what); }

Response own_error() { return problem(500, "natrad met an error of its own; its log says more"); }

Response json_response(const Json& document) {
    return {.status = 200, .content_type = "application/json", .body = print(document), .headers = {}};
}

}  // namespace natra::api
