//! What the daemon said no with, over HTTP.

use api::{Code, Error};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;

use crate::bearer;
use crate::plain::Refusal;

/// The daemon's words with the status that belongs to them (RFC 9110 §15, RFC 6585 §3).
pub(crate) fn of_daemon(error: &Error) -> Refusal {
    let Error::Tool {
        code,
        message,
        data,
    } = error
    else {
        return bearer::refusal(error);
    };
    let refusal = Refusal::of_daemon(status(*code), message, data);
    match code {
        Code::Unauthenticated | Code::RateLimited => bearer::refusal(error),
        Code::Unavailable => refusal.with(RETRY_AFTER, "5"),
        _ => refusal,
    }
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Invalid | Code::BadDeclaration | Code::TooLarge => StatusCode::UNPROCESSABLE_ENTITY,
        Code::Refused => StatusCode::FORBIDDEN,
        Code::Unconfirmed => StatusCode::PRECONDITION_REQUIRED,
        Code::PlanChanged | Code::Cancelled => StatusCode::CONFLICT,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Failed | Code::RolledBack | Code::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
