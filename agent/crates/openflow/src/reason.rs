//! Switch errors in words (ONF TS-006 §7.4.4; for bundles ONF extension 230).

use crate::error::SwitchError;
use crate::v13::ONF;

const EXPERIMENTER: u16 = 0xffff;

/// What the switch means; `None` for what hardly comes up.
pub(crate) fn reason(error: &SwitchError) -> Option<&'static str> {
    if error.kind == EXPERIMENTER {
        return match error.experimenter {
            Some(ONF) => extension(error.code),
            _ => None,
        };
    }
    Some(match (error.kind, error.code) {
        (0, 0) => "no version in common",
        (0, 1) | (1, 5) | (2, 6) | (3, 8) | (4, 11) | (5, 4) => "not permitted",
        (1, 0) => "unknown version",
        (1, 1) => "unknown type of message",
        (1, 2) => "unknown type of multipart message",
        (1, 3) => "unknown experimenter",
        (1, 4) => "unknown type of experimenter message",
        (1, 6) => "wrong length of message",
        (1, 9) | (5, 2) => "no such table",
        (1, 10) => "only the master controller may do that",
        (1, 11) => "no such port",
        (2, 0) => "unknown action",
        (2, 1) => "wrong length of actions",
        (2, 4) => "no such output port",
        (2, 5) => "wrong value in an action",
        (2, 7) => "too many actions",
        (2, 9) => "no such group",
        (2, 10) => "an action does not go with the match",
        (2, 11) => "the actions cannot be done in this order",
        (2, 12) => "unknown kind of tag",
        (2, 13) => "a field cannot be set",
        (2, 14) => "wrong length of a field that is set",
        (2, 15) => "wrong value for a field that is set",
        (3, 0) => "unknown instruction",
        (3, 1) => "instruction not supported",
        (3, 2) => "no such table to go to, or not a later one",
        (3, 7) => "wrong length of instructions",
        (4, 0) => "unknown type of match",
        (4, 1) => "wrong length of match",
        (4, 6) => "unknown match field",
        (4, 7) => "wrong value in the match",
        (4, 8) => "wrong mask in the match",
        (4, 9) => "a match field lacks its prerequisite, such as the Ethernet type",
        (4, 10) => "a match field comes twice",
        (5, 0) => "the flow was not changed",
        (5, 1) => "the flow table is full",
        (5, 3) => "another flow overlaps",
        (5, 5) => "timeout not supported",
        (5, 6) => "unknown command",
        (5, 7) => "unknown flags",
        _ => return None,
    })
}

fn extension(code: u16) -> Option<&'static str> {
    Some(match code {
        2300 => "the bundle failed",
        2301 => "the bundle is not permitted",
        2302 => "no such bundle",
        2303 => "the bundle exists already",
        2304 => "the bundle is closed",
        2305 => "too many bundles",
        2306 => "unknown kind of bundle message",
        2307 => "the flags of the bundle are not supported",
        2308 => "wrong length of a message in the bundle",
        2309 => "wrong transaction id of a message in the bundle",
        2310 => "a kind of message that cannot be in a bundle",
        2311 => "messages that cannot be in one bundle",
        2312 => "too many messages in the bundle",
        2313 => "a message in the bundle failed",
        2314 => "the bundle took too long",
        2315 => "another bundle is in progress",
        2600 => "an instruction comes twice",
        _ => return None,
    })
}
