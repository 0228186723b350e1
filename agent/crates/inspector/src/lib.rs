//! Recognise, describe and validate data of any form, and remember what was learned.
